#include "log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixtures.h"
#include "plugin_loader.h"

namespace graft {
namespace {

class HostLogger : public testing::Test {
 protected:
  ~HostLogger() override { set_logger({}); }
  Logger keep() {
    return [this](LogLevel level, std::string_view line) { lines_.push_back(std::string(name(level)) + " " + std::string(line)); };
  }
  std::vector<std::string> lines_;
};

TEST_F(HostLogger, GetsEveryLineInTheStreamsPlace) {
  set_logger(keep());
  testing::internal::CaptureStderr();
  log(LogLevel::warning, "norm", "a\033[31m word");
  log(LogLevel::debug, "norm", "another");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(lines_, (std::vector<std::string>{"warning norm: a?[31m word", "debug norm: another"}));
}

TEST_F(HostLogger, GetsAPluginsLinesUnderItsName) {
  set_logger(keep());
  test::TempFolder folder;
  test::write_file(folder.path() / "own.so", test::read_file(test::fixture("uses_host")) + "of this test");  // init runs once for each digest
  load_plugin(SealedCopy::make(folder.path() / "own.so"), "org/host-user");
  EXPECT_NE(std::find(lines_.begin(), lines_.end(), "warning org/host-user: hello from the fixture?[31m"), lines_.end());
}

TEST_F(HostLogger, GivesTheLinesBack) {
  set_logger(keep());
  set_logger({});
  testing::internal::CaptureStderr();
  log(LogLevel::warning, "norm", "word");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "[graft] warning norm: word\n");
  EXPECT_TRUE(lines_.empty());
}

TEST_F(HostLogger, LosesNoLineThatItThrowsAtOrLogsItself) {
  set_logger([](LogLevel, std::string_view line) {
    log(LogLevel::error, "logger", "of " + std::string(line));
    throw std::runtime_error("full");
  });
  testing::internal::CaptureStderr();
  log(LogLevel::warning, "norm", "word");
  log(LogLevel::warning, "norm", "next");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "[graft] error logger: of norm: word\n[graft] warning norm: word\n[graft] error logger: of norm: next\n[graft] warning norm: next\n");
}

TEST_F(HostLogger, MaySetAnotherOne) {
  set_logger([this](LogLevel, std::string_view) { set_logger(keep()); });
  log(LogLevel::warning, "norm", "first");
  log(LogLevel::warning, "norm", "second");
  EXPECT_EQ(lines_, std::vector<std::string>{"warning norm: second"});
}

TEST_F(HostLogger, IsInNoCallOnceAnotherIsSet) {
  std::atomic<bool> stop = false;
  std::thread logging([&] {
    while (!stop) log(LogLevel::info, "norm", "word");
  });
  for (int i = 0; i < 200; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    set_logger([state = alive.get()](LogLevel, std::string_view) { ++*state; });
    set_logger([](LogLevel, std::string_view) {});
    alive.reset();  // AddressSanitizer would see a call that comes too late
  }
  stop = true;
  logging.join();
}

}  // namespace
}  // namespace graft
