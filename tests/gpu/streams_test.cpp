// Streams, memory and forms of tensors: the caller's stream is used, and what a kernel is not made for is right or refused.
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <functional>

#include "gpu.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"

namespace graft {
namespace {

using testing::kGpu;

struct Norm : torch::nn::Module {
  explicit Norm(int64_t width, at::ScalarType dtype = at::kFloat, c10::Device device = kGpu)
      : weight(register_parameter("weight", at::randn({width}, at::TensorOptions(device).dtype(dtype)), false)),
        slot(register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}})) {
    eval();
  }
  at::Tensor own(const at::Tensor& x) const { return at::rms_norm(x, weight.sizes(), weight, 1e-6); }
  at::Tensor forward(const at::Tensor& x) {
    return slot({x}, [&] { return ++own_calls, own(x); });
  }
  int own_calls = 0;
  at::Tensor weight;
  KernelSlot slot;
};

std::shared_ptr<Norm> bound_norm(int64_t width, at::ScalarType dtype = at::kFloat) {
  auto norm = std::make_shared<Norm>(width, dtype);
  const BindReport report = kernelize(*norm, {.kernel_config = KernelConfig({{"RMSNorm", "graft-kernels/norm:RMSNorm"}})});
  EXPECT_EQ(report.layers.at(0).state, LayerState::bound) << report.layers.at(0).reason;
  return norm;
}

using CudaCalls = testing::Gpu;

TEST_F(CudaCalls, AreBoundWithTheCudaVariant) {
  const auto norm = bound_norm(64);
  EXPECT_NE(kernel_report(*norm).layers.at(0).variant.find("cu1"), std::string::npos);
}

/// A norm whose own forward is another one's.
struct Raced : torch::nn::Module {
  explicit Raced(std::function<at::Tensor(const at::Tensor&)> own_forward)
      : weight(register_parameter("weight", at::ones({4096}, at::TensorOptions(kGpu)), false)),
        slot(register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}})),
        own(std::move(own_forward)) {
    eval();
    kernelize(*this, {.kernel_config = KernelConfig({{"RMSNorm", "graft-kernels/norm:RMSNorm"}}), .kernel_policy = KernelPolicy::fastest});
  }
  LayerReport settled() {
    const at::Tensor x = at::ones({2048, 4096}, at::TensorOptions(kGpu));
    for (int i = 0; i < 16; ++i) slot({x}, [&] { return own(x); });
    return kernel_report(*this).layers.at(0);
  }
  at::Tensor weight;
  KernelSlot slot;
  std::function<at::Tensor(const at::Tensor&)> own;
};

TEST_F(CudaCalls, KeepTheFasterOneByTheTimeOfTheDevice) {
  // The host enqueues both alike; what differs is how long the device takes.
  const LayerReport slow = Raced([](const at::Tensor& x) { return at::matmul(x, at::ones({4096, 4096}, x.options())); }).settled();
  EXPECT_EQ(slow.state, LayerState::bound) << slow.reason;
  ASSERT_EQ(slow.timings.size(), 1u) << slow.reason;
  EXPECT_TRUE(slow.timings[0].keeps_kernel);
  EXPECT_GT(slow.timings[0].own_seconds, 2 * slow.timings[0].kernel_seconds);
  const LayerReport none = Raced([](const at::Tensor& x) { return x; }).settled();
  EXPECT_EQ(none.state, LayerState::fallback) << none.reason;
}

TEST_F(CudaCalls, RunOnTheCallersStream) {
  const auto norm = bound_norm(4096);
  const auto* device = c10::impl::getDeviceGuardImpl(c10::kCUDA);
  const at::Tensor x = at::randn({4096, 4096}, at::TensorOptions(kGpu)), expected = norm->own(x);
  device->synchronizeDevice(0);
  const c10::StreamGuard guard(device->getStreamFromGlobalPool(kGpu));
  at::Tensor y = x;
  for (int i = 0; i < 20; ++i) y = norm->forward(x + 0 * y);  // torch's own operators on that stream feed it
  EXPECT_TRUE(at::allclose(y, expected, 1e-4, 1e-5));
  EXPECT_EQ(norm->own_calls, 0);
}

TEST_F(CudaCalls, TakeStridesOffsetsAndNothingAtAll) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const auto norm = bound_norm(192, dtype);
    const at::Tensor whole = at::randn({64, 7, 201}, at::TensorOptions(kGpu).dtype(dtype));
    for (const at::Tensor& x : {whole.narrow(2, 1, 192), whole.narrow(2, 8, 192).transpose(0, 1), whole.narrow(2, 0, 192).slice(0, 0, 64, 3),
                                whole.narrow(2, 0, 192).narrow(0, 0, 0), whole.narrow(2, 0, 192).transpose(1, 2).contiguous().transpose(1, 2)}) {
      const at::Tensor y = norm->forward(x);
      EXPECT_EQ(y.sizes(), x.sizes());
      EXPECT_TRUE(at::allclose(y, norm->own(x), 2e-2, 2e-2)) << x.sizes() << " " << x.strides();
    }
  }
}

TEST_F(CudaCalls, CountPastTwoToTheThirtyFirst) {
  const auto norm = bound_norm(4096, at::kBFloat16);
  const int64_t rows = (int64_t(1) << 31) / 4096 + 5;
  const at::Tensor x = at::empty({rows, 4096}, at::TensorOptions(kGpu).dtype(at::kBFloat16));  // 4 GiB
  x.narrow(0, rows - 3, 3).normal_();
  x.narrow(0, 0, 3).normal_();
  const at::Tensor y = norm->forward(x);
  for (const int64_t at : {int64_t(0), rows - 3}) EXPECT_TRUE(at::allclose(y.narrow(0, at, 3), norm->own(x.narrow(0, at, 3)), 2e-2, 2e-2)) << at;
}

TEST_F(CudaCalls, LeaveTensorsOfOtherDevicesToTheOwnForward) {
  const auto norm = bound_norm(64);
  EXPECT_ANY_THROW(norm->forward(at::randn({3, 64})));  // torch's own error: the weight is on the GPU
  EXPECT_EQ(norm->own_calls, 1);
}

TEST_F(CudaCalls, FollowALayerThatMoves) {
  const auto norm = bound_norm(64);
  norm->to(at::kCPU);
  const at::Tensor x = at::randn({3, 64});
  EXPECT_TRUE(at::allclose(norm->forward(x), norm->own(x), 1e-4, 1e-5));
  norm->to(kGpu);
  EXPECT_TRUE(at::allclose(norm->forward(x.to(kGpu)), norm->own(x.to(kGpu)), 1e-4, 1e-5));
}

}  // namespace
}  // namespace graft
