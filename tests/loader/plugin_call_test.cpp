#include "graft/plugin_call.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "graft/error.h"

namespace graft {
namespace {

TEST(CallPlugin, PassesTheStatusOn) {
  EXPECT_EQ(call_plugin([] { return graft_status{GRAFT_UNSUPPORTED}; }), GRAFT_UNSUPPORTED);
  EXPECT_EQ(plugin_message(), "");
}

TEST(CallPlugin, TurnsExceptionsIntoAFailureWithTheirWords) {
  EXPECT_EQ(call_plugin([]() -> graft_status { throw std::runtime_error("lost"); }), GRAFT_FAILED);
  EXPECT_EQ(plugin_message(), "lost");
  EXPECT_EQ(call_plugin([]() -> graft_status { throw 42; }), GRAFT_FAILED);
  EXPECT_EQ(plugin_message(), "it threw something that is no std::exception");
}

TEST(CallPlugin, ForgetsTheMessageOfTheCallBefore) {
  call_plugin([]() -> graft_status { throw std::runtime_error("lost"); });
  call_plugin([] { return graft_status{GRAFT_FAILED}; });
  EXPECT_EQ(plugin_message(), "");
}

TEST(CallPlugin, KeepsMessagesApartByThread) {
  call_plugin([]() -> graft_status { throw std::runtime_error("mine"); });
  std::thread([] {
    EXPECT_EQ(plugin_message(), "");
    call_plugin([]() -> graft_status { throw std::runtime_error("other"); });
  }).join();
  EXPECT_EQ(plugin_message(), "mine");
}

TEST(PluginError, NamesKernelFunctionStatusAndMessage) {
  call_plugin([]() -> graft_status { throw std::runtime_error("lost"); });
  try {
    throw_plugin_error(GRAFT_OUT_OF_MEMORY, "org/norm:RMSNorm", "forward");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::plugin);
    EXPECT_EQ(e.failed(), "kernel org/norm:RMSNorm");
    EXPECT_EQ(e.why(), "forward returned GRAFT_OUT_OF_MEMORY: lost");
  }
}

TEST(PluginError, IsUnsupportedWhereThePluginSaysSo) {
  try {
    throw_plugin_error(GRAFT_UNSUPPORTED, "k", "create");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
  }
  EXPECT_EQ(status_name(17), "GRAFT_FAILED (code 17)");
}

}  // namespace
}  // namespace graft
