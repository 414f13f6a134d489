#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <torch/nn/cloneable.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "graft/error.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::bind_fixture;
using test::NormLayer;

TEST(KernelSlot, AnUnboundSlotRunsTheOwnForward) {
  NormLayer layer;
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(layer.own_calls, 1);
}

TEST(KernelSlot, UnsupportedIsAnAnswerAndNotAFailure) {
  NormLayer layer;
  bind_fixture(layer, "forward_unsupported");
  const at::Tensor x = at::randn({2, 8});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(layer.own_calls, 5);
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::bound);
}

class Failing : public ::testing::TestWithParam<const char*> {};

TEST_P(Failing, FallsBackForTheCallAndForGoodAfterThree) {
  NormLayer layer;
  ASSERT_EQ(bind_fixture(layer, GetParam()).state, LayerState::bound);
  const at::Tensor x = at::randn({2, 8});
  for (int i = 1; i <= 4; ++i) {
    EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
    EXPECT_EQ(kernel_report(layer).layers[0].state, i < 3 ? LayerState::bound : LayerState::fallback) << i;
  }
  EXPECT_NE(kernel_report(layer).layers[0].reason.find("while running"), std::string::npos);
}

TEST_P(Failing, ThrowsWhenFallbackIsNotAllowed) {
  NormLayer layer;
  bind_fixture(layer, GetParam(), /*use_fallback=*/false);
  EXPECT_THROW(layer.forward(at::randn({2, 8})), Error);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Failing, ::testing::Values("forward_fails", "forward_throws", "forward_throws_oddly"),
                         [](const auto& info) { return std::string(info.param); });

TEST(KernelSlot, ATrainingModuleRunsItsOwnForward) {
  NormLayer layer;
  bind_fixture(layer, "good_v2");
  const at::Tensor x = at::randn({2, 8});
  layer.train();
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  layer.eval();
  EXPECT_TRUE(at::allclose(layer.forward(x), 2 * layer.own(x), 1e-5, 1e-6));
}

TEST(KernelSlot, ACallThatNeedsGradientsRunsTheOwnForward) {
  NormLayer layer;
  bind_fixture(layer, "good_v2");
  const at::Tensor x = at::randn({2, 8}).requires_grad_();
  const at::Tensor out = layer.forward(x);
  EXPECT_TRUE(out.requires_grad());
  EXPECT_EQ(layer.own_calls, 1);
  const at::NoGradGuard no_grad;
  layer.forward(x);
  EXPECT_EQ(layer.own_calls, 1);
}

TEST(KernelSlot, AStridedInputGivesTheSameResult) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor wide = at::randn({4, 16}), columns = at::randn({8, 4}).t();
  EXPECT_TRUE(at::allclose(layer.forward(wide.narrow(1, 3, 8)), layer.own(wide.narrow(1, 3, 8)), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(layer.forward(columns), layer.own(columns), 1e-5, 1e-6));
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(KernelSlot, CallsOfOneShapeEachSeeTheirOwnTensors) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> shapes[] = {{8},          {3, 8},          {2, 3, 8},
                                         {2, 1, 3, 8}, {1, 2, 1, 3, 8}, {2, 1, 1, 2, 1, 8}};
  for (const std::vector<int64_t>& shape : shapes) {
    NormLayer layer;
    bind_fixture(layer, "good");
    for (int i = 0; i < 3; ++i) {  // the first call plans what the others find
      const at::Tensor x = at::randn(shape), of_other_strides = at::stack({x, x + 1}, -1).select(-1, 1);
      EXPECT_TRUE(at::allclose(layer.forward(x), layer.own(x), 1e-5, 1e-6)) << shape;
      EXPECT_TRUE(at::allclose(layer.forward(of_other_strides), layer.own(x + 1), 1e-5, 1e-6)) << shape;
      EXPECT_EQ(layer.forward(at::randn({7, 8})).sizes(), at::IntArrayRef({7, 8}));
    }
    EXPECT_EQ(layer.own_calls, 0);
  }
}

TEST(KernelSlot, ThreadsThatCallAtOnceWithOneShapeEachGetTheirOwnResult) {
  NormLayer layer;
  bind_fixture(layer, "good");
  layer.forward(at::randn({4, 8}));  // planned here, and so laid out for this thread
  std::atomic<int> wrong = 0;
  const auto run = [&] {
    const at::NoGradGuard no_grad;
    for (int i = 0; i < 2000; ++i) {
      const at::Tensor x = at::randn({4, 8});
      if (!at::allclose(layer.slot({x}, [&] { return at::zeros({4, 8}); }), layer.own(x), 1e-5, 1e-6))
        ++wrong;
    }
  };
  std::thread others[] = {std::thread(run), std::thread(run)};
  run();
  for (std::thread& other : others) other.join();
  EXPECT_EQ(wrong, 0);
}

/// torch's own allocator; `before`, if set, runs once before the next allocation.
struct AllocatorThatCalls final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (before) std::exchange(before, nullptr)();
    return torchs->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return torchs->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    torchs->copy_data(to, from, bytes);
  }

  c10::Allocator* torchs = c10::GetCPUAllocator();
  std::function<void()> before = nullptr;
};

TEST(KernelSlot, ACallWithinACallLeavesTheOuterOnesTensorsAlone) {
  const at::NoGradGuard no_grad;
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor outer = at::randn({2, 8}), inner = at::randn({2, 8});
  layer.forward(outer);
  AllocatorThatCalls allocator;
  at::Tensor of_inner;
  c10::SetCPUAllocator(&allocator, /*priority=*/100);
  allocator.before = [&] { of_inner = layer.forward(inner); };  // while the outer call's result is allocated
  const at::Tensor of_outer = layer.forward(outer);
  c10::SetCPUAllocator(allocator.torchs, /*priority=*/100);
  EXPECT_TRUE(at::allclose(of_outer, layer.own(outer), 1e-5, 1e-6));
  ASSERT_TRUE(of_inner.defined());
  EXPECT_TRUE(at::allclose(of_inner, layer.own(inner), 1e-5, 1e-6));
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(KernelSlot, AMisalignedInputIsNamedAlsoWhereItsShapeIsKnown) {
  const at::NoGradGuard no_grad;
  NormLayer layer;
  bind_fixture(layer, "good");
  alignas(8) char bytes[2 * 8 * sizeof(float) + 1] = {};
  const auto at_byte = [&](int offset) { return at::from_blob(bytes + offset, {2, 8}, at::kFloat); };
  EXPECT_EQ(layer.forward(at_byte(0)).sizes(), at::IntArrayRef({2, 8}));
  try {
    layer.forward(at_byte(1));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
  }
}

TEST(KernelSlot, AnEmptyInputGivesAnEmptyResult) {
  NormLayer layer;
  bind_fixture(layer, "good");
  EXPECT_EQ(layer.forward(at::zeros({0, 8})).sizes(), at::IntArrayRef({0, 8}));
}

TEST(KernelSlot, AnInputThatBreaksTheContractIsNamed) {
  NormLayer layer;
  bind_fixture(layer, "good");
  try {
    layer.forward(at::randn({2, 7}));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("7"), std::string::npos) << error.what();
  }
}

TEST(KernelSlot, AWeightThatChangesIsSeen) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor x = at::randn({2, 8});
  layer.forward(x);
  layer.weight.fill_(5);  // in place: the version changes
  EXPECT_TRUE(at::allclose(layer.forward(x), layer.own(x), 1e-5, 1e-6));
  layer.weight.set_data(at::ones({8}) * 7);  // new storage: the pointer changes
  EXPECT_TRUE(at::allclose(layer.forward(x), layer.own(x), 1e-5, 1e-6));
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(KernelSlot, AModuleThatIsConvertedFallsBackIfTheKernelDoesNotServeItsDtype) {
  NormLayer layer;
  bind_fixture(layer, "good");
  layer.to(at::kDouble);
  const at::Tensor x = at::randn({2, 8}, at::kDouble);
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::fallback);
}

TEST(KernelSlot, ParametersAndTheirNamesStayTheSameWhenBound) {
  NormLayer layer;
  const auto before = layer.named_parameters().keys();
  const size_t modules = layer.modules(/*include_self=*/false).size();
  bind_fixture(layer, "good");
  EXPECT_EQ(layer.named_parameters().keys(), before);
  EXPECT_EQ(layer.modules(/*include_self=*/false).size(), modules);
}

struct CloneableNorm : torch::nn::Cloneable<CloneableNorm> {
  CloneableNorm() { reset(); }
  void reset() override { weight = register_parameter("weight", at::ones({8}) * 3, false); }
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] { return at::rms_norm(x, {8}, weight, 1e-6); });
  }
  at::Tensor weight;
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
};

TEST(KernelSlot, ACloneHasASlotOfItsOwn) {
  const auto original = std::make_shared<CloneableNorm>();
  original->eval();
  kernelize(*original, {.kernel_config = test::fixture_config("good_v2")});
  const auto copy = std::dynamic_pointer_cast<CloneableNorm>(original->clone());
  const at::Tensor x = at::randn({2, 8});
  const at::Tensor own = at::rms_norm(x, {8}, original->weight, 1e-6);
  EXPECT_TRUE(at::allclose(original->forward(x), 2 * own, 1e-5, 1e-6));
  EXPECT_TRUE(copy->forward(x).equal(own));  // unbound
  copy->eval();
  ASSERT_EQ(kernelize(*copy, {.kernel_config = test::fixture_config("good_v3")}).count(LayerState::bound), 1);
  EXPECT_TRUE(at::allclose(copy->forward(x), 3 * own, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(original->forward(x), 2 * own, 1e-5, 1e-6));
}

TEST(KernelSlot, RunsFromManyThreadsWhileAnotherRebinds) {
  NormLayer layer;
  bind_fixture(layer, "good");
  const at::Tensor x = at::randn({4, 8}), expected = layer.own(x);
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> runners;
  for (int t = 0; t < 4; ++t) {
    runners.emplace_back([&] {
      const at::NoGradGuard no_grad;
      while (!stop) {
        const at::Tensor out = layer.slot({x}, [&] { return layer.own(x); });
        if (!at::allclose(out, expected, 1e-5, 1e-6)) ++wrong;
      }
    });
  }
  for (int i = 0; i < 200; ++i) bind_fixture(layer, i % 2 == 0 ? "good" : "newer_minor");
  stop = true;
  for (std::thread& runner : runners) runner.join();
  EXPECT_EQ(wrong, 0);
}

TEST(KernelSlot, UnknownContractsAndAttributesAreRefusedAtOnce) {
  torch::nn::Module module;
  EXPECT_THROW(register_kernel_layer(module, "NoSuchLayer/1"), Error);
  EXPECT_THROW(register_kernel_layer(module, "RMSNorm/1"), Error);  // eps must be given
  EXPECT_THROW(register_kernel_layer(module, "RMSNorm/1", {.attributes = {{"eps", 1e-5}, {"epsilon", 1e-5}}}), Error);
  EXPECT_THROW(register_kernel_layer(module, "RMSNorm/1", {.attributes = {{"eps", std::string("small")}}}), Error);
}

TEST(KernelSlot, AMissingWeightIsNamedInTheReport) {
  struct Weightless : torch::nn::Module {
    KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-5}}});
  } layer;
  const BindReport report = kernelize(layer, {.kernel_config = test::fixture_config("good")});
  EXPECT_EQ(report.layers.at(0).state, LayerState::fallback);
  EXPECT_NE(report.layers[0].reason.find("'weight'"), std::string::npos) << report.layers[0].reason;
}

}  // namespace
}  // namespace graft
