// A module with kernels bound beside its twin without: what happens to modules happens to both alike.
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>
#include <torch/nn/cloneable.h>
#include <torch/serialize/archive.h>

#include <sstream>

#include "graft/error.h"
#include "graft/events.h"
#include "graft/safetensors.h"
#include "trained_layers.h"

namespace graft {
namespace {

using test::close;
using test::fixture_config;
using test::record_of;

struct Norm : torch::nn::Cloneable<Norm> {
  Norm() { reset(); }
  void reset() override {
    weight = register_parameter("weight", at::arange(1, 9, at::kFloat) / 4);
    steps = register_buffer("steps", at::zeros({}, at::kLong));
  }
  at::Tensor forward(const at::Tensor& x) const { return slot({x}, [&] { return own(x); }); }
  at::Tensor own(const at::Tensor& x) const { return at::rms_norm(x, {8}, weight, 1e-6); }
  at::Tensor weight, steps;
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
};

struct Net : torch::nn::Cloneable<Net> {
  Net() { reset(); }
  void reset() override {
    first = register_module("first", std::make_shared<Norm>());
    second = register_module("second", std::make_shared<Norm>());
    scale = register_parameter("scale", at::ones({8}) * 3);
  }
  at::Tensor forward(const at::Tensor& x) const { return second->forward(first->forward(x) * scale); }
  at::Tensor own(const at::Tensor& x) const { return second->own(first->own(x) * scale); }
  std::shared_ptr<Norm> first, second;
  at::Tensor scale;
};

struct Twins {
  explicit Twins(const std::string& fixture = "training_norms", const std::string& entry = "RMSNorm") {
    bound->eval();
    twin->eval();
    kernelize(*bound, {.kernel_config = fixture_config(fixture, entry), .use_fallback = true});
  }
  int count(LayerState state) const { return kernel_report(*bound).count(state); }
  std::shared_ptr<Net> bound = std::make_shared<Net>(), twin = std::make_shared<Net>();
};

std::string saved(const torch::nn::Module& module) {
  torch::serialize::OutputArchive archive;
  module.save(archive);
  std::ostringstream out;
  archive.save_to(out);
  return out.str();
}

std::string safetensors(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, TensorView>> tensors;
  for (const auto& item : module.named_parameters()) {
    const at::Tensor& tensor = item.value();
    tensors.emplace_back(item.key(), TensorView{SafetensorsDType::F32, tensor.sizes().vec(), static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  const test::TempFolder folder;
  save_safetensors(folder.path() / "model.safetensors", tensors);
  return test::read_file(folder.path() / "model.safetensors");
}

void expect_alike(const torch::nn::Module& bound, const torch::nn::Module& twin) {
  const auto alike = [](const torch::OrderedDict<std::string, at::Tensor>& a, const torch::OrderedDict<std::string, at::Tensor>& b) {
    ASSERT_EQ(a.keys(), b.keys());
    for (const auto& item : a) {
      EXPECT_EQ(item.value().scalar_type(), b[item.key()].scalar_type()) << item.key();
      EXPECT_EQ(item.value().device(), b[item.key()].device()) << item.key();
      EXPECT_EQ(item.value().requires_grad(), b[item.key()].requires_grad()) << item.key();
      EXPECT_TRUE(item.value().equal(b[item.key()])) << item.key();
    }
  };
  alike(bound.named_parameters(), twin.named_parameters());
  alike(bound.named_buffers(), twin.named_buffers());
  EXPECT_EQ(bound.named_modules().keys(), twin.named_modules().keys());
}

TEST(ModuleMoves, ParametersBuffersAndModulesKeepTheirNames) {
  const Twins twins;
  EXPECT_EQ(twins.count(LayerState::bound), 2);
  expect_alike(*twins.bound, *twins.twin);
  EXPECT_EQ(twins.bound->named_parameters().size(), 3u);
  EXPECT_EQ(twins.bound->named_buffers().size(), 2u);
}

TEST(ModuleMoves, SavedFilesAreTheSameByteForByte) {
  const Twins twins("training_prepacks");
  ASSERT_EQ(twins.count(LayerState::bound), 2);
  const at::NoGradGuard no_grad;
  twins.bound->forward(at::randn({2, 8}));
  EXPECT_EQ(saved(*twins.bound), saved(*twins.twin));
  EXPECT_EQ(safetensors(*twins.bound), safetensors(*twins.twin));
}

TEST(ModuleMoves, WhatIsLoadedIntoABoundModuleIsSeen) {
  const Twins twins("training_prepacks");
  const at::NoGradGuard no_grad;
  twins.bound->forward(at::randn({2, 8}));
  twins.twin->first->weight.fill_(5);
  twins.twin->scale.fill_(-2);
  std::istringstream in(saved(*twins.twin));
  torch::serialize::InputArchive archive;
  archive.load_from(in);
  twins.bound->load(archive);
  expect_alike(*twins.bound, *twins.twin);
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(close(twins.bound->forward(x), twins.twin->forward(x)));
  EXPECT_EQ(twins.count(LayerState::bound), 2);
}

TEST(ModuleMoves, AKernelComesAlongToADtypeThatItServesAndWaitsThroughOthers) {
  const Twins twins;
  const at::NoGradGuard no_grad;
  const struct {
    at::ScalarType dtype;
    LayerState state;
  } moves[] = {{at::kFloat, LayerState::bound},    {at::kDouble, LayerState::bound}, {at::kBFloat16, LayerState::fallback},
               {at::kHalf, LayerState::fallback},  {at::kFloat, LayerState::bound},  {at::kBFloat16, LayerState::fallback},
               {at::kDouble, LayerState::bound}};
  for (const auto& move : moves) {
    twins.bound->to(move.dtype);
    twins.twin->to(move.dtype);
    const at::Tensor x = at::randn({4, 8}, move.dtype), result = twins.bound->forward(x);
    EXPECT_EQ(twins.count(move.state), 2) << move.dtype << "\n" << kernel_report(*twins.bound);
    EXPECT_EQ(result.scalar_type(), move.dtype);
    EXPECT_TRUE(move.state == LayerState::bound ? close(result, twins.twin->forward(x)) : result.equal(twins.twin->forward(x))) << move.dtype;
    expect_alike(*twins.bound, *twins.twin);
  }
}

TEST(ModuleMoves, ALayerThatWaitsSaysWhyAndIsToldOfWhenItIsBoundAgain) {
  const Twins twins;
  std::vector<Event> heard;
  const auto subscription = on_event([&](const Event& event) { heard.push_back(event); });
  const at::NoGradGuard no_grad;
  const std::string reason = kernel_report(*twins.bound).layers[0].reason;
  twins.bound->to(at::kBFloat16);
  for (int i = 0; i < 3; ++i) twins.bound->first->forward(at::ones({2, 8}, at::kBFloat16));
  EXPECT_NE(kernel_report(*twins.bound).layers[0].reason.find("bfloat16"), std::string::npos) << kernel_report(*twins.bound);
  twins.bound->to(at::kFloat);
  for (int i = 0; i < 3; ++i) twins.bound->first->forward(at::ones({2, 8}));
  EXPECT_EQ(kernel_report(*twins.bound).layers[0].reason, reason);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].kind, Event::Kind::fallback);
  EXPECT_EQ(heard[1].kind, Event::Kind::bound);
}

TEST(ModuleMoves, WithoutAFallbackADtypeThatTheKernelDoesNotServeIsAnErrorUntilItIsAnotherAgain) {
  Norm norm;
  norm.eval();
  kernelize(norm, {.kernel_config = fixture_config("training_norms", "RMSNorm"), .use_fallback = false});
  const at::NoGradGuard no_grad;
  norm.to(at::kBFloat16);
  for (int i = 0; i < 2; ++i) EXPECT_THROW(norm.forward(at::ones({2, 8}, at::kBFloat16)), Error);
  norm.to(at::kFloat);
  EXPECT_TRUE(close(norm.forward(at::ones({2, 8})), norm.own(at::ones({2, 8}))));
}

TEST(ModuleMoves, RoundedWeightsThatComeToLieWhereTheOldOnesLayAreSeen) {
  Norm norm;
  norm.eval();
  const at::NoGradGuard no_grad;
  norm.weight.fill_(1.00390625 + 1e-4);
  kernelize(norm, {.kernel_config = fixture_config("training_prepacks", "RMSNorm"), .use_fallback = false});
  const at::Tensor x = at::randn({2, 8});
  for (int i = 0; i < 20; ++i) {
    norm.weight.fill_(1 + 1e-3 * (i + 1));
    norm.forward(x);
    norm.to(at::kBFloat16);  // no call between the two: the allocator may hand back the very memory
    norm.to(at::kFloat);
    EXPECT_TRUE(at::allclose(norm.forward(x), norm.own(x), 1e-6, 1e-6)) << i;
  }
}

/// LibTorch has no Module::to(meta) for a module that was made elsewhere.
TEST(ModuleMoves, AMoveThatTorchRefusesIsRefusedAlikeAndLeavesTheKernelWhereItWas) {
  const Twins twins;
  const at::NoGradGuard no_grad;
  for (const auto& net : {twins.bound, twins.twin}) EXPECT_THROW(net->to(at::kMeta), c10::Error);
  expect_alike(*twins.bound, *twins.twin);
  const at::Tensor x = at::randn({4, 8});
  EXPECT_TRUE(close(twins.bound->forward(x), twins.twin->forward(x)));
  EXPECT_EQ(twins.count(LayerState::bound), 2);
}

TEST(ModuleMoves, AnInputOnAnotherDeviceIsTheOwnForwards) {
  const Twins twins;
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::empty({4, 8}, at::kMeta);
  std::string messages[2];
  for (int i = 0; i < 2; ++i) {
    try {
      const at::Tensor result = (i == 0 ? twins.bound : twins.twin)->forward(x);
      messages[i] = result.device().str();
    } catch (const c10::Error& error) {
      messages[i] = error.what_without_backtrace();
    }
  }
  EXPECT_EQ(messages[0], messages[1]);
}

TEST(ModuleMoves, ACloneIsUnboundOfItsOwnWeightsAndBoundByItself) {
  const Twins twins;
  const at::NoGradGuard no_grad;
  const auto copy = std::dynamic_pointer_cast<Net>(twins.bound->clone());
  expect_alike(*copy, *twins.twin);
  EXPECT_EQ(kernel_report(*copy).count(LayerState::bound), 0);
  EXPECT_EQ(twins.count(LayerState::bound), 2);
  copy->eval();
  kernelize(*copy, {.kernel_config = fixture_config("good")});
  EXPECT_EQ(kernel_report(*copy).count(LayerState::bound), 2);
  copy->first->weight.fill_(7);
  copy->second->weight.fill_(-1);
  const at::Tensor x = at::randn({4, 8});
  EXPECT_TRUE(close(copy->forward(x), copy->own(x)));
  EXPECT_TRUE(close(twins.bound->forward(x), twins.twin->forward(x)));
  unkernelize(*copy);
  EXPECT_EQ(twins.count(LayerState::bound), 2);
}

TEST(ModuleMoves, ACloneOutlivesItsOriginal) {
  std::shared_ptr<Net> copy;
  const at::Tensor x = at::randn({4, 8});
  {
    const Twins twins;
    copy = std::dynamic_pointer_cast<Net>(twins.bound->clone());
  }
  copy->eval();
  const at::NoGradGuard no_grad;
  EXPECT_EQ(kernelize(*copy, {.kernel_config = fixture_config("training_norms", "RMSNorm")}).count(LayerState::bound), 2);
  EXPECT_TRUE(close(copy->forward(x), copy->own(x)));
}

TEST(ModuleMoves, TrainAndEvalSwitchBothAlike) {
  const Twins twins;
  for (const bool training : {true, false, true}) {
    for (const auto& net : {twins.bound, twins.twin}) net->train(training);
    EXPECT_EQ(twins.bound->first->is_training(), training);
    const at::Tensor x = at::randn({4, 8});
    at::Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
    const at::Tensor result = twins.bound->forward(a), expected = twins.twin->forward(b);
    EXPECT_TRUE(close(result, expected));
    result.sum().backward();
    expected.sum().backward();
    EXPECT_TRUE(close(a.grad(), b.grad()));
    EXPECT_EQ(twins.count(LayerState::bound), 2);
    expect_alike(*twins.bound, *twins.twin);
  }
}

TEST(ModuleMoves, AnOptimizersStepsLeaveNoInstancesBehind) {
  const training_record& record = record_of("training_prepacks");
  const int64_t before = record.instances;
  {
    test::TrainedNorm layer("training_prepacks");
    ASSERT_EQ(layer.report.state, LayerState::bound);
    const at::Tensor x = at::randn({4, 8});
    for (int step = 0; step < 50; ++step) {
      layer.train(step % 10 < 5);
      layer.weight.mutable_grad() = at::Tensor();
      const at::Tensor result = layer.forward(x);
      ASSERT_TRUE(close(result, layer.own(x))) << step;
      result.square().sum().backward();
      const at::NoGradGuard no_grad;
      layer.weight.sub_(layer.weight.grad(), 0.01);
      EXPECT_LE(record.instances, before + 3) << step;  // the one in force, the one before, and one that this step's graph holds
    }
    layer.forward(x);
    EXPECT_LE(record.instances, before + 2);
    EXPECT_EQ(layer.own_calls, 0);
  }
  EXPECT_EQ(record.instances, before);
}

struct Deterministic {
  explicit Deterministic(bool asked = true) { set(asked); }
  ~Deterministic() { set(false); }
  static void set(bool asked) { at::globalContext().setDeterministicAlgorithms(asked, /*warn_only=*/false); }
};

TEST(ModuleMoves, DeterministicAlgorithmsAskedForAfterBindingHoldOtherKernelsBack) {
  test::NormLayer layer, other;
  ASSERT_EQ(test::bind_fixture(layer, "not_deterministic").state, LayerState::bound);
  ASSERT_EQ(test::bind_fixture(other, "good").state, LayerState::bound);
  std::vector<Event> heard;
  const auto subscription = on_event([&](const Event& event) { heard.push_back(event); });
  const at::Tensor x = at::randn({4, 8});
  layer.forward(x);
  EXPECT_EQ(layer.own_calls, 0);
  {
    const Deterministic asked;
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
      other.forward(x);
    }
    EXPECT_EQ(layer.own_calls, 3);
    EXPECT_EQ(other.own_calls, 0);
    const LayerReport report = kernel_report(layer).layers[0];
    EXPECT_EQ(report.state, LayerState::fallback);
    EXPECT_NE(report.reason.find("deterministic algorithms are asked for"), std::string::npos) << report.reason;
    EXPECT_EQ(report.counters.unsupported, 3u);
    EXPECT_EQ(kernel_report(other).layers[0].state, LayerState::bound);
  }
  layer.forward(x);
  EXPECT_EQ(layer.own_calls, 3);
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::bound);
  ASSERT_EQ(heard.size(), 2u);  // once for each change, whatever the number of calls
  EXPECT_EQ(heard[0].kind, Event::Kind::fallback);
  EXPECT_EQ(heard[1].kind, Event::Kind::bound);
}

TEST(ModuleMoves, WithoutAFallbackAKernelThatIsHeldBackIsAnError) {
  test::NormLayer layer;
  test::bind_fixture(layer, "not_deterministic", /*use_fallback=*/false);
  const at::Tensor x = at::randn({4, 8});
  {
    const Deterministic asked;
    try {
      layer.forward(x);
      FAIL() << "it ran";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      EXPECT_NE(error.why().find("deterministic"), std::string::npos) << error.what();
    }
  }
  EXPECT_TRUE(at::allclose(layer.forward(x), layer.own(x), 1e-5, 1e-6));
  EXPECT_EQ(layer.own_calls, 0);
}

}  // namespace
}  // namespace graft
