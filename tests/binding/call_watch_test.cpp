// What is seen of calls from outside: counters, and ranges in torch's profiler.
#include <ATen/record_function.h>
#include <ATen/ops/sum.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "graft/events.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::bind_fixture;
using test::NormLayer;

LayerCounters counters(NormLayer& layer) { return kernel_report(layer).layers.at(0).counters; }

TEST(Counters, TellServedAndUnsupportedCallsAndErrorsApart) {
  const at::Tensor x = at::randn({2, 8});
  NormLayer good, unsupported, failing;
  bind_fixture(good, "good");
  bind_fixture(unsupported, "forward_unsupported");
  bind_fixture(failing, "forward_fails");
  for (int i = 0; i < 5; ++i) {
    for (NormLayer* layer : {&good, &unsupported, &failing}) layer->forward(x);
  }
  EXPECT_EQ(counters(good).calls, 5u);
  EXPECT_EQ(counters(good).unsupported + counters(good).errors, 0u);
  EXPECT_EQ(counters(unsupported).unsupported, 5u);
  EXPECT_EQ(counters(unsupported).calls, 0u);
  EXPECT_EQ(counters(failing).errors, 3u);  // then it is in force no more
}

TEST(Counters, CountAnErrorThatThrows) {
  NormLayer layer;
  bind_fixture(layer, "forward_fails", /*use_fallback=*/false);
  EXPECT_ANY_THROW(layer.forward(at::randn({2, 8})));
  EXPECT_ANY_THROW(layer.forward(at::randn({2, 7})));  // breaks the contract: the caller's mistake, not the kernel's
  EXPECT_EQ(counters(layer).errors, 1u);
}

TEST(Counters, CountACallOnceThoughAWeightHasChanged) {
  NormLayer layer;
  bind_fixture(layer, "good");
  layer.weight.set_data(at::ones({8}));
  layer.forward(at::randn({2, 8}));
  EXPECT_EQ(counters(layer).calls, 1u);
}

TEST(Counters, BeginAnewWithTheBinding) {
  NormLayer layer;
  bind_fixture(layer, "good");
  layer.forward(at::randn({2, 8}));
  bind_fixture(layer, "good_v2");
  EXPECT_EQ(counters(layer).calls, 0u);
}

TEST(Counters, TakeTimeOnlyWhileSomebodyAsks) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor x = at::randn({2, 8});
  layer.forward(x);
  EXPECT_EQ(counters(layer).timed, 0u);
  {
    const auto subscription = on_event([](const Event&) {});
    layer.forward(x);
  }
  layer.forward(x);
  EXPECT_EQ(counters(layer).timed, 1u);
  EXPECT_EQ(counters(layer).calls, 3u);
  EXPECT_GT(counters(layer).seconds, 0);
}

std::vector<std::string> ranges;
size_t range_inputs = 0;

std::unique_ptr<at::ObserverContext> keep_range(const at::RecordFunction& range) {
  ranges.emplace_back(range.name());
  if (std::string_view(range.name()).starts_with("graft::")) range_inputs = range.inputs().size();
  return nullptr;
}

/// What a profiler that records on this thread hears of.
class Profiled : public testing::Test {
 protected:
  Profiled() { ranges.clear(); }
  ~Profiled() override { at::removeCallback(handle_); }
  bool saw(const std::string& begin, const std::string& end) const {
    return std::any_of(ranges.begin(), ranges.end(), [&](const std::string& range) { return range.starts_with(begin) && range.ends_with(end); });
  }
  at::CallbackHandle handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(keep_range).needsInputs(true));
};

TEST_F(Profiled, ACallIsARangeNamedByLayerAndEntry) {
  NormLayer layer;
  bind_fixture(layer, "good");
  ranges.clear();
  layer.forward(at::randn({2, 8}));
  EXPECT_TRUE(saw("graft::RMSNorm (/", "good.so:TestRMSNorm)")) << ::testing::PrintToString(ranges);
  EXPECT_EQ(range_inputs, 1u);
  EXPECT_EQ(counters(layer).timed, 1u);
}

TEST(Observers, OfAThreadAreHeardFromTheNextCallOn) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor x = at::randn({2, 8});
  for (uint64_t i = 0; i < 5; ++i) {
    layer.forward(x);
    const at::CallbackHandle handle = at::addThreadLocalCallback(at::RecordFunctionCallback(keep_range));
    layer.forward(x);
    EXPECT_EQ(counters(layer).timed, i + 1);
    at::removeCallback(handle);
  }
}

TEST(Observers, OfAllThreadsAreHeardWithin32Calls) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor x = at::randn({2, 8});
  for (int i = 0; i < 7; ++i) layer.forward(x);
  const at::CallbackHandle handle = at::addGlobalCallback(at::RecordFunctionCallback(keep_range));
  for (int i = 0; i < 32; ++i) layer.forward(x);
  const uint64_t noticed = counters(layer).timed;
  EXPECT_GE(noticed, 1u);
  for (int i = 0; i < 40; ++i) layer.forward(x);
  EXPECT_EQ(counters(layer).timed, noticed + 40);  // each call, once it is noticed
  at::removeCallback(handle);
  for (int i = 0; i < 40; ++i) layer.forward(x);
  EXPECT_EQ(counters(layer).timed, noticed + 40);
}

TEST(Observers, AreNotHeardWhereTorchHasThemSwitchedOff) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::CallbackHandle handle = at::addThreadLocalCallback(at::RecordFunctionCallback(keep_range));
  {
    const at::DisableRecordFunctionGuard off;
    layer.forward(at::randn({2, 8}));
  }
  EXPECT_EQ(counters(layer).timed, 0u);
  at::removeCallback(handle);
}

TEST_F(Profiled, BackwardIsARangeOfItsOwn) {
  NormLayer layer;
  kernelize(layer, {.kernel_config = test::fixture_config("training_norms", "RMSNorm")});
  layer.train();
  ASSERT_EQ(kernel_report(layer).layers.at(0).state, LayerState::bound) << kernel_report(layer).layers.at(0).reason;
  const at::Tensor x = at::randn({2, 8}).requires_grad_();
  const at::Tensor out = layer.forward(x);
  out.sum().backward();
  EXPECT_TRUE(saw("graft::RMSNorm (", ")")) << ::testing::PrintToString(ranges);
  EXPECT_TRUE(saw("GraftBackward(", "training_norms.so:RMSNorm)")) << ::testing::PrintToString(ranges);
}

}  // namespace
}  // namespace graft
