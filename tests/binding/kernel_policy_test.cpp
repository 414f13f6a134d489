// KernelPolicy::fastest: kernels and own forwards of which one takes 5 ms and the other next to nothing, so
// that it is known which of them is kept. Kernels give twice the layer's own result, so that it is seen which
// of them ran.
#include "graft/kernel_policy.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "graft/error.h"
#include "graft/events.h"
#include "in_place.h"
#include "norm_layer.h"
#include "speed_trial.h"

namespace graft {
namespace {

using test::fixture_config;
using namespace std::chrono_literals;

constexpr const char* kFast = "good_v2";
constexpr const char* kSlow = "slow_v2";  // 5 ms
constexpr int kCallsUntilSettled = 12;    // a warm-up and five timed calls of either side

void spin(std::chrono::nanoseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

/// An RMSNorm whose own forward takes as long as it is told.
struct PacedNorm : torch::nn::Module {
  explicit PacedNorm(std::chrono::nanoseconds own_time = 0ms, int64_t size = 8) : own_time(own_time) {
    weight = register_parameter("weight", at::ones({size}) * 2, /*requires_grad=*/false);
    eval();
  }
  at::Tensor own(const at::Tensor& x) const { return at::rms_norm(x, weight.sizes(), weight, 1e-6); }
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] {
      ++own_calls;
      if (own_throws) throw std::runtime_error("no own forward");
      spin(own_time);
      return own(x);
    });
  }
  /// "k" or "o" for each call.
  std::string who_ran(int calls, int64_t rows = 2) const {
    const at::NoGradGuard no_grad;
    std::string who;
    for (int i = 0; i < calls; ++i) {
      const at::Tensor x = at::randn({rows, weight.size(0)}, weight.options()), result = forward(x),
                       expected = own(x);
      const bool is_own = at::allclose(result, expected, 1e-5, 1e-6),
                 is_kernel = at::allclose(result, 2 * expected, 1e-5, 1e-6);
      who += is_own ? "o" : is_kernel ? "k" : "?";
    }
    return who;
  }
  LayerReport report() const { return kernel_report(*this).layers.at(0); }

  std::chrono::nanoseconds own_time;
  bool own_throws = false;
  at::Tensor weight;
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
  mutable int own_calls = 0;
};

BindReport bind_to(torch::nn::Module& module, const std::string& fixture,
                KernelPolicy policy = KernelPolicy::fastest, bool use_fallback = true) {
  return kernelize(
      module,
      {.kernel_config = fixture_config(fixture), .use_fallback = use_fallback, .kernel_policy = policy});
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(KernelPolicy, ASlowKernelGivesWayToTheOwnForward) {
  PacedNorm layer;
  ASSERT_EQ(bind_to(layer, kSlow).count(LayerState::bound), 1);
  layer.who_ran(kCallsUntilSettled);
  EXPECT_EQ(layer.who_ran(5), "ooooo");
  const LayerReport report = layer.report();
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_TRUE(says(report.reason, "own forward is faster for [2, 8]: ") && says(report.reason, " beside "))
      << report.reason;
  ASSERT_EQ(report.timings.size(), 1u);
  EXPECT_EQ(report.timings[0].shapes, "[2, 8]");
  EXPECT_FALSE(report.timings[0].keeps_kernel);
  EXPECT_GT(report.timings[0].kernel_seconds, report.timings[0].own_seconds);
}

TEST(KernelPolicy, AFastKernelStays) {
  PacedNorm layer(5ms);
  bind_to(layer, kFast);
  layer.who_ran(kCallsUntilSettled);
  EXPECT_EQ(layer.who_ran(5), "kkkkk");
  const LayerReport report = layer.report();
  EXPECT_EQ(report.state, LayerState::bound);
  EXPECT_TRUE(says(report.reason, "faster than the layer's own: ") && says(report.reason, " for [2, 8]"))
      << report.reason;
}

TEST(KernelPolicy, CallsTakeTurnsUntilItIsSettled) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  EXPECT_EQ(layer.who_ran(kCallsUntilSettled), "kokokokokoko");
  EXPECT_EQ(layer.own_calls, kCallsUntilSettled / 2);
  PacedNorm always;
  bind_to(always, kSlow, KernelPolicy::always);
  EXPECT_EQ(always.who_ran(kCallsUntilSettled), "kkkkkkkkkkkk");
}

TEST(KernelPolicy, EachShapeIsJudgedOnItsOwn) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  layer.who_ran(kCallsUntilSettled, /*rows=*/1);
  layer.own_time = 20ms;
  layer.who_ran(kCallsUntilSettled, /*rows=*/64);
  EXPECT_EQ(layer.who_ran(3, 1), "ooo");
  EXPECT_EQ(layer.who_ran(3, 64), "kkk");
  EXPECT_EQ(layer.who_ran(3, 127), "kkk");  // the same power of two
  const LayerReport report = layer.report();
  EXPECT_EQ(report.state, LayerState::bound);
  EXPECT_TRUE(says(report.reason, "own forward is faster for [1, 8]")) << report.reason;
  EXPECT_TRUE(says(report.reason, "faster than the layer's own") && says(report.reason, "for [64, 8]"))
      << report.reason;
}

TEST(KernelPolicy, ShapesBeyondEightFollowTheOthersWhereTheseAgreeOnTheOwnForward) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  for (int64_t rows = 1; rows <= 128; rows *= 2) layer.who_ran(kCallsUntilSettled, rows);
  EXPECT_EQ(layer.who_ran(1, 256), "o");
  EXPECT_EQ(layer.report().timings.size(), 8u);

  layer.own_time = 20ms;
  bind_to(layer, kSlow);
  layer.who_ran(kCallsUntilSettled, 1);
  layer.own_time = 0ms;
  for (int64_t rows = 2; rows <= 128; rows *= 2) layer.who_ran(kCallsUntilSettled, rows);
  EXPECT_EQ(layer.who_ran(1, 256), "k");
}

struct Blocks : torch::nn::Module {
  explicit Blocks(int count) {
    for (int i = 0; i < count; ++i)
      norms.push_back(register_module("norm" + std::to_string(i), std::make_shared<PacedNorm>()));
    other = register_module("other", std::make_shared<PacedNorm>(0ms, /*size=*/16));
    eval();
  }
  std::vector<std::shared_ptr<PacedNorm>> norms;
  std::shared_ptr<PacedNorm> other;
};

TEST(KernelPolicy, LayersAlikeShareWhatWasFound) {
  Blocks model(kCallsUntilSettled);
  bind_to(model, kSlow);
  std::string who;
  for (const auto& norm : model.norms) who += norm->who_ran(1);
  EXPECT_EQ(who, "kokokokokoko");
  for (const auto& norm : model.norms) EXPECT_EQ(norm->who_ran(1), "o");
  EXPECT_EQ(model.other->who_ran(2), "ko");  // another width
  const BindReport report = kernel_report(model);
  EXPECT_EQ(report.count(LayerState::fallback), kCallsUntilSettled);
  EXPECT_EQ(report.count(LayerState::bound), 1);
  for (int i = 1; i < kCallsUntilSettled; ++i) EXPECT_EQ(report.layers[size_t(i)].reason, report.layers[0].reason);
}

TEST(KernelPolicy, CallsThatNeedGradientsAreNotTimed) {
  PacedNorm layer(5ms);
  kernelize(layer, {.kernel_config = fixture_config("training_norms", "RMSNorm"),
                    .kernel_policy = KernelPolicy::fastest});
  for (int i = 0; i < 2 * kCallsUntilSettled; ++i) {
    const at::Tensor x = at::randn({2, 8}).requires_grad_();
    EXPECT_TRUE(layer.forward(x).requires_grad());
  }
  EXPECT_EQ(layer.own_calls, 0);
  EXPECT_TRUE(layer.report().timings.empty());
}

TEST(KernelPolicy, TrainingLeavesWhatWasFound) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  layer.who_ran(kCallsUntilSettled);
  layer.train();
  EXPECT_EQ(layer.report().timings.size(), 0u);  // the line of another mode
  layer.who_ran(3);
  layer.eval();
  EXPECT_EQ(layer.who_ran(3), "ooo");
}

TEST(KernelPolicy, AWeightThatChangesLeavesWhatWasFound) {
  PacedNorm layer(5ms);
  bind_to(layer, kFast);
  layer.who_ran(kCallsUntilSettled);
  layer.weight.set_data(at::ones({8}) * 7);
  EXPECT_EQ(layer.who_ran(3), "kkk");
  layer.to(at::kDouble);  // which the kernel does not serve
  EXPECT_EQ(layer.who_ran(3), "ooo");
  layer.to(at::kFloat);
  EXPECT_EQ(layer.who_ran(3), "kkk");
  EXPECT_EQ(layer.report().timings.size(), 1u);
}

TEST(KernelPolicy, AlwaysForgetsTheTrialAndFastestBeginsAnother) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  layer.who_ran(kCallsUntilSettled);
  bind_to(layer, kSlow, KernelPolicy::always);
  EXPECT_EQ(layer.who_ran(3), "kkk");
  EXPECT_EQ(layer.report().state, LayerState::bound);
  EXPECT_TRUE(layer.report().timings.empty());
  bind_to(layer, kSlow);
  EXPECT_EQ(layer.who_ran(4), "koko");
}

TEST(KernelPolicy, AKernelThatServesNoCallIsNotTimed) {
  PacedNorm layer;
  bind_to(layer, "forward_unsupported");
  EXPECT_EQ(layer.who_ran(20), std::string(20, 'o'));
  EXPECT_EQ(layer.report().state, LayerState::bound);
  EXPECT_TRUE(layer.report().timings.empty());
}

TEST(KernelPolicy, AKernelThatFailsIsGivenUpAsWithAlways) {
  PacedNorm layer;
  bind_to(layer, "forward_fails");
  EXPECT_EQ(layer.who_ran(20), std::string(20, 'o'));
  EXPECT_EQ(layer.report().state, LayerState::fallback);
  EXPECT_TRUE(says(layer.report().reason, "failed 3 × while running")) << layer.report().reason;
  bind_to(layer, "forward_fails", KernelPolicy::fastest, /*use_fallback=*/false);
  EXPECT_THROW(layer.forward(at::randn({2, 8})), Error);
}

TEST(KernelPolicy, AnOwnForwardThatThrowsLosesToTheKernel) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  layer.own_throws = true;
  EXPECT_EQ(layer.who_ran(1), "k");
  EXPECT_THROW(layer.who_ran(1), std::runtime_error);
  EXPECT_EQ(layer.who_ran(5), "kkkkk");
  EXPECT_EQ(layer.report().state, LayerState::bound);
}

TEST(KernelPolicy, AKernelThatIsNotDeterministicIsHeldBackInItsTurn) {
  PacedNorm layer(5ms);
  bind_to(layer, "not_deterministic");
  layer.who_ran(kCallsUntilSettled);
  const int before = layer.own_calls;
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  layer.who_ran(3);
  at::globalContext().setDeterministicAlgorithms(false, false);
  EXPECT_EQ(layer.own_calls, before + 3);
  layer.who_ran(3);
  EXPECT_EQ(layer.own_calls, before + 3);
}

struct InPlace : torch::nn::Module {
  InPlace() { eval(); }
  static void declare() { ContractRegistry::shared().add(test::kDoubleInPlace); }
  void forward(const at::Tensor& x) const {
    slot({x}, [&] {
      spin(5ms);
      x.mul_(3);
    });
  }
  KernelSlot slot = (declare(), register_kernel_layer(*this, "DoubleInPlace/1"));
};

TEST(KernelPolicy, WhatIsWrittenInPlaceIsWrittenByOneSideAlone) {
  InPlace layer;
  kernelize(layer, {.kernel_config = KernelConfig(
                        {{"DoubleInPlace", test::fixture("training_layers").string() + ":DoubleInPlace"}},
                        {.use_local_kernel = true}),
                    .kernel_policy = KernelPolicy::fastest});
  std::string who;
  for (int i = 0; i < kCallsUntilSettled + 2; ++i) {
    const at::Tensor x = at::ones({4});
    layer.forward(x);
    who += x.equal(at::ones({4}) * 2) ? "k" : x.equal(at::ones({4}) * 3) ? "o" : "?";
  }
  EXPECT_EQ(who, "kokokokokokokk");
}

/// Its own forward runs a layer that is bound itself.
struct Outer : torch::nn::Module {
  Outer() { eval(); }
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] { return inner->forward(x); });
  }
  std::shared_ptr<PacedNorm> inner = register_module("inner", std::make_shared<PacedNorm>());
  at::Tensor weight = register_parameter("weight", at::ones({8}), /*requires_grad=*/false);
  KernelSlot slot =
      register_kernel_layer(*this, "RMSNorm/1", {.layer = "Outer", .attributes = {{"eps", 1e-6}}});
};

TEST(KernelPolicy, AnOwnForwardCountsOnceTheLayersInItAreSettled) {
  Outer layer;
  const auto mapped = [](const char* fixture) { return test::fixture(fixture).string() + ":TestRMSNorm"; };
  kernelize(layer, {.kernel_config = KernelConfig({{"Outer", mapped(kFast)}, {"RMSNorm", mapped(kSlow)}},
                                                  {.use_local_kernel = true}),
                    .kernel_policy = KernelPolicy::fastest});
  const at::NoGradGuard no_grad;
  const auto settled = [&](const std::string& name) {
    for (const LayerReport& line : kernel_report(layer).layers)
      if (line.layer == name) return !line.timings.empty();
    throw std::logic_error(name);
  };
  int calls_of_both = 0;
  for (int i = 0; i < 60 && !settled("Outer"); ++i) {
    EXPECT_FALSE(settled("Outer") && !settled("RMSNorm"));
    calls_of_both += !settled("RMSNorm");
    layer.forward(at::randn({2, 8}));
  }
  EXPECT_TRUE(settled("Outer"));
  EXPECT_EQ(calls_of_both, kCallsUntilSettled + 1);  // one of the outer kernel, then own ones
}

TEST(KernelPolicy, AnEventTellsThatALayersLineHasChanged) {
  PacedNorm slow, fast(5ms);
  bind_to(slow, kSlow);
  bind_to(fast, kFast);
  std::vector<Event> heard;
  const auto subscription = on_event([&](const Event& event) { heard.push_back(event); });
  slow.who_ran(kCallsUntilSettled + 3);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].kind, Event::Kind::fallback);
  EXPECT_TRUE(says(heard[0].reason, "own forward is faster")) << heard[0].reason;
  fast.who_ran(kCallsUntilSettled + 3);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[1].kind, Event::Kind::bound);
  EXPECT_TRUE(says(heard[1].reason, "faster than the layer's own")) << heard[1].reason;
}

TEST(KernelPolicy, TheReportsJsonHasTheTimes) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  layer.who_ran(kCallsUntilSettled);
  const nlohmann::json line = nlohmann::json::parse(kernel_report(layer).json())["layers"][0];
  ASSERT_EQ(line["timings"].size(), 1u) << line;
  EXPECT_EQ(line["timings"][0]["shapes"], "[2, 8]");
  EXPECT_EQ(line["timings"][0]["keeps"], "own");
  EXPECT_GT(line["timings"][0]["kernel_seconds"], line["timings"][0]["own_seconds"]);
  EXPECT_TRUE(says(kernel_report(layer).html(), "own forward is faster for [2, 8]"));
}

TEST(KernelPolicy, CallsThroughAnOperatorRunAsWithAlwaysAndTheLineSaysSo) {
  PacedNorm layer;
  kernelize(layer, {.mode = Mode::Inference | Mode::TorchCompile,
                    .kernel_config = fixture_config("operator_doubles"),
                    .kernel_policy = KernelPolicy::fastest});
  EXPECT_EQ(layer.who_ran(4), "kkkk");
  EXPECT_TRUE(says(layer.report().reason, "not with TorchCompile")) << layer.report().reason;
}

TEST(KernelPolicy, ManyThreadsSettleOneTrial) {
  PacedNorm layer;
  bind_to(layer, kSlow);
  std::vector<std::thread> threads;
  std::vector<std::string> who(4);
  for (std::string& each : who) threads.emplace_back([&] { each = layer.who_ran(2 * kCallsUntilSettled); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& each : who) EXPECT_EQ(each.find('?'), std::string::npos) << each;
  EXPECT_EQ(layer.who_ran(3), "ooo");
}

uint64_t class_of(const std::vector<at::Tensor>& inputs) {
  return inputs.size() == 1 ? SpeedTrial::class_of({inputs[0]})
                            : SpeedTrial::class_of({inputs[0], inputs[1]});
}

TEST(SpeedTrial, SizesOfOnePowerOfTwoAreOneClassAndRanksAndDtypesOthers) {
  const uint64_t two = class_of({at::zeros({2, 8})});
  EXPECT_EQ(class_of({at::zeros({3, 15})}), two);
  EXPECT_NE(class_of({at::zeros({4, 8})}), two);
  EXPECT_NE(class_of({at::zeros({1, 8})}), two);
  EXPECT_NE(class_of({at::zeros({1, 2, 8})}), two);
  EXPECT_NE(class_of({at::zeros({2, 8}, at::kDouble)}), two);
  EXPECT_NE(class_of({at::zeros({8, 2})}), two);
  EXPECT_NE(class_of({at::zeros({2, 8}), at::Tensor()}), two);
}

}  // namespace
}  // namespace graft
