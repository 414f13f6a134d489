// What a bound call allocates beside its outputs: nothing.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "counted_allocations.h"
#include "in_place.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::Allocations;
using test::allocations_of;
using test::bind_fixture;
using test::NormLayer;

struct InPlace : torch::nn::Module {
  InPlace() {
    eval();
    const std::string reference = test::fixture("training_layers").string() + ":DoubleInPlace";
    kernelize(*this, {.kernel_config = KernelConfig({{"DoubleInPlace", reference}}, {.use_local_kernel = true}), .use_fallback = false});
  }
  static void declare() { ContractRegistry::shared().add(test::kDoubleInPlace); }
  void forward(const at::Tensor& x) const {
    slot({x}, [] { throw std::logic_error("own"); });
  }
  KernelSlot slot = (declare(), register_kernel_layer(*this, "DoubleInPlace/1"));
};

TEST(Allocations, AreSeen) {
  EXPECT_EQ(allocations_of([] {}), Allocations());
  at::empty({4, 8});  // what torch keeps of its first one
  const Allocations tensor = allocations_of([] { at::empty({4, 8}); });
  EXPECT_GE(tensor.count, 2);
  EXPECT_GE(tensor.bytes, int64_t(4 * 8 * sizeof(float)));
  EXPECT_EQ(tensor.kept, 0);
  at::Tensor stays;
  EXPECT_GE(allocations_of([&] { stays = at::empty({4, 8}); }).kept, int64_t(4 * 8 * sizeof(float)));
}

TEST(Allocations, ACallWhoseOutputIsGivenAllocatesNothing) {
  const InPlace layer;
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({4, 8});
  layer.forward(x);
  EXPECT_EQ(allocations_of([&] {
              for (int i = 0; i < 100; ++i) layer.forward(x);
            }),
            Allocations());
  EXPECT_EQ(kernel_report(layer).layers[0].counters.calls, 101u);
}

TEST(Allocations, ACallThatMakesAnOutputAllocatesWhatEmptyDoes) {
  NormLayer layer;
  ASSERT_EQ(bind_fixture(layer, "good").state, LayerState::bound);
  for (const bool inference_mode : {true, false}) {
    const c10::InferenceMode inference(inference_mode);
    const at::NoGradGuard no_grad;
    const at::Tensor x = at::ones({4, 8});
    layer.forward(x);
    at::Tensor made;
    const Allocations call = allocations_of([&] { made = layer.forward(x); });
    const Allocations empty = allocations_of([&] { made = at::empty({4, 8}); });
    EXPECT_EQ(call.count, empty.count) << inference_mode;
    EXPECT_EQ(call.bytes, empty.bytes) << inference_mode;
  }
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(Allocations, AnUnboundSlotAllocatesNothingBesideItsOwnForward) {
  const NormLayer layer;
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({4, 8});
  at::Tensor made;
  layer.forward(x);
  const Allocations call = allocations_of([&] { made = layer.forward(x); });
  const Allocations own = allocations_of([&] { made = layer.own(x); });
  EXPECT_EQ(call.count, own.count);
  EXPECT_EQ(call.bytes, own.bytes);
}

/// As a growing cache's: none of them comes again.
TEST(Allocations, ShapesThatChangeWithEachCallLeaveNothingBehind) {
  NormLayer layer;
  ASSERT_EQ(bind_fixture(layer, "good").state, LayerState::bound);
  const c10::InferenceMode inference;
  for (int64_t rows = 1; rows <= 100; ++rows) layer.forward(at::ones({rows, 8}));  // more shapes than are kept
  const Allocations calls = allocations_of([&] {
    for (int64_t i = 0; i < 10000; ++i) layer.forward(at::ones({101 + i % 1000, 8}));
  });
  EXPECT_EQ(calls.kept, 0);
  EXPECT_EQ(kernel_report(layer).layers[0].counters.calls, 10100u);
}

}  // namespace
}  // namespace graft
