#include "graft/events.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "norm_layer.h"

namespace graft {
namespace {

using test::bind_fixture;
using test::NormLayer;

/// "kind layer kernel" of what was heard, the kernel without its folder.
struct Heard {
  std::vector<Event> events;
  std::vector<std::string> kinds() const {
    std::vector<std::string> out;
    for (const Event& event : events) out.push_back(std::string(name(event.kind)) + " " + event.layer);
    return out;
  }
};

using Kinds = std::vector<std::string>;

TEST(Events, TellWhatBecameOfALayerAtBinding) {
  Heard heard;
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
  NormLayer layer;
  bind_fixture(layer, "good");
  bind_fixture(layer, "create_fails");
  kernelize(layer, {.kernel_config = KernelConfig({{"RMSNorm", ""}})});
  unkernelize(layer);
  EXPECT_EQ(heard.kinds(), (Kinds{"bound RMSNorm", "fallback RMSNorm", "disabled RMSNorm", "own RMSNorm"}));
  EXPECT_TRUE(heard.events[0].kernel.ends_with("good.so:TestRMSNorm")) << heard.events[0].kernel;
  EXPECT_GT(heard.events[0].seconds, 0);
  EXPECT_NE(heard.events[1].reason.find("eps is too small for me"), std::string::npos) << heard.events[1].reason;
}

TEST(Events, TellFailuresWhileRunningAndWhenAKernelIsGivenUp) {
  NormLayer layer;
  bind_fixture(layer, "forward_fails");
  Heard heard;
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
  for (int i = 0; i < 5; ++i) layer.forward(at::randn({2, 8}));
  EXPECT_EQ(heard.kinds(), (Kinds{"error RMSNorm", "error RMSNorm", "error RMSNorm", "fallback RMSNorm"}));
  EXPECT_FALSE(heard.events[0].reason.empty());
  EXPECT_NE(heard.events[3].reason.find("failed 3"), std::string::npos) << heard.events[3].reason;
}

TEST(Events, TellAFailureThatThrows) {
  NormLayer layer;
  bind_fixture(layer, "forward_fails", /*use_fallback=*/false);
  Heard heard;
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
  EXPECT_ANY_THROW(layer.forward(at::randn({2, 8})));
  EXPECT_EQ(heard.kinds(), Kinds{"error RMSNorm"});
}

TEST(Events, TellAWeightThatTheKernelDoesNotServeAnyMore) {
  NormLayer layer;
  bind_fixture(layer, "good");
  Heard heard;
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
  layer.to(at::kDouble);
  layer.forward(at::randn({2, 8}, at::kDouble));
  EXPECT_EQ(heard.kinds(), Kinds{"fallback RMSNorm"});
}

TEST(Events, TellCallsWithTheirTimeToThoseWhoAsk) {
  NormLayer layer;
  bind_fixture(layer, "good");
  Heard all, some;
  const auto of_all = on_event([&](const Event& event) { all.events.push_back(event); }, {.calls = true});
  const auto of_some = on_event([&](const Event& event) { some.events.push_back(event); });
  layer.forward(at::randn({2, 8}));
  EXPECT_EQ(all.kinds(), Kinds{"call RMSNorm"});
  EXPECT_GT(all.events.at(0).seconds, 0);
  EXPECT_TRUE(some.events.empty());
}

TEST(Events, EndWithTheSubscription) {
  NormLayer layer;
  Heard heard;
  {
    auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
    const EventSubscription moved = std::move(subscription);
    bind_fixture(layer, "good");
  }
  bind_fixture(layer, "good");
  EXPECT_EQ(heard.events.size(), 1u);
}

TEST(Events, ACallbackThatThrowsLosesNothing) {
  Heard heard;
  const auto throwing = on_event([](const Event&) { throw std::runtime_error("not today"); });
  const auto odd = on_event([](const Event&) { throw 7; });
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); });
  testing::internal::CaptureStderr();
  NormLayer layer;
  EXPECT_EQ(bind_fixture(layer, "good").state, LayerState::bound);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("a callback threw: not today"), std::string::npos) << log;
  EXPECT_EQ(heard.kinds(), Kinds{"bound RMSNorm"});
}

TEST(Events, ACallbackMayAskForReportsRunLayersAndEndItself) {
  NormLayer layer, other;
  bind_fixture(other, "good");
  int heard = 0;
  EventSubscription subscription;
  subscription = on_event([&](const Event&) {
    ++heard;
    EXPECT_EQ(kernel_report(layer).layers.size(), 1u);
    other.forward(at::randn({2, 8}));  // of which it is not told
    subscription = {};
  }, {.calls = true});
  bind_fixture(layer, "good");
  bind_fixture(layer, "good");
  EXPECT_EQ(heard, 1);
}

TEST(Events, TheSelfChecksOwnCallsAreNobodysBusiness) {
  test::TempFolder state;  // where the check is not remembered
  const test::ScopedEnv fresh("GRAFT_STATE_DIR", state.path().c_str());
  Heard heard;
  const auto subscription = on_event([&](const Event& event) { heard.events.push_back(event); }, {.calls = true});
  NormLayer layer;
  kernelize(layer, {.kernel_config = test::fixture_config("off_by_one_percent"), .policy = Policy()});
  EXPECT_EQ(heard.kinds(), Kinds{"fallback RMSNorm"});
}

TEST(Events, ComeOneAtATimeFromManyThreadsWhileOthersSubscribe) {
  NormLayer layer;
  bind_fixture(layer, "good");
  std::atomic<int> inside = 0, together = 0, heard = 0;
  {
    const auto subscription = on_event([&](const Event&) {
      if (++inside > 1) ++together;
      ++heard;
      --inside;
    }, {.calls = true});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        const at::Tensor x = at::randn({2, 8});
        for (int i = 0; i < 50; ++i) {
          layer.slot({x}, [&] { return layer.own(x); });
          const auto another = on_event([](const Event&) {}, {.calls = true});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(heard, 200);
  EXPECT_EQ(together, 0);
}

}  // namespace
}  // namespace graft
