// Layers bound to the fixtures that have a backward, and what those note of their calls.
#pragma once

#include "graft/runtime.h"
#include "norm_layer.h"
#include "training_record.h"

namespace graft::test {

/// A NormLayer whose weight is trained, bound to the RMSNorm of a fixture of training_norms.c.
struct TrainedNorm : NormLayer {
  explicit TrainedNorm(const std::string& fixture, at::ScalarType dtype = at::kFloat) : NormLayer(8, dtype) {
    weight.uniform_(0.5, 2).requires_grad_();
    eval();
    report = kernelize(*this, {.kernel_config = fixture_config(fixture, "RMSNorm")}).layers.at(0);
  }
  LayerReport report;
};

struct AddNormLayer : torch::nn::Module {
  explicit AddNormLayer(const std::string& fixture = {}, at::ScalarType dtype = at::kFloat)
      : weight(register_parameter("weight", at::ones({8}, dtype).uniform_(0.5, 2))) {
    eval();
    if (fixture.empty()) return;
    const std::string reference = test::fixture(fixture).string() + ":AddRMSNorm";
    kernelize(*this, {.kernel_config = KernelConfig({{"AddRMSNorm", reference}}, {.use_local_kernel = true}),
                      .use_fallback = false});
  }
  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& x, const at::Tensor& residual) const {
    return slot({x, residual}, [&] { return own(x, residual); });
  }
  std::tuple<at::Tensor, at::Tensor> own(const at::Tensor& x, const at::Tensor& residual) const {
    const at::Tensor sum = x + residual;
    return {at::rms_norm(sum, weight.sizes(), weight, 1e-6), sum};
  }

  at::Tensor weight;
  KernelSlot slot = register_kernel_layer(*this, "AddRMSNorm/1", {.attributes = {{"eps", 1e-6}}});
};

/// What a fixture of training_norms.c has noted; the same plugin that the layers run.
inline const training_record& record_of(const std::string& fixture, const std::string& entry = "RMSNorm") {
  const Kernel kernel =
      Runtime::shared().load(KernelRef::parse(test::fixture(fixture).string() + ":" + entry));
  return *reinterpret_cast<const training_entry*>(kernel.entry)->record;
}

inline bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() && at::allclose(a, b, 1e-4, 1e-5);
}

}  // namespace graft::test
