// The layer that the binding's tests bind kernels onto, and its own definition of what it computes.
#pragma once

#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include "fixtures.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"

namespace graft::test {

struct NormLayer : torch::nn::Module {
  explicit NormLayer(int64_t size = 8, at::TensorOptions weights = at::kFloat)
      : weight(register_parameter("weight", at::ones({size}, weights) * 2, /*requires_grad=*/false)) {
    eval();
  }

  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] {
      ++own_calls;
      return own(x);
    });
  }
  at::Tensor own(const at::Tensor& x) const { return at::rms_norm(x, weight.sizes(), weight, 1e-6); }

  at::Tensor weight;
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
  mutable int own_calls = 0;
};

/// Maps RMSNorm to a fixture plugin, by its path.
inline KernelConfig fixture_config(const std::string& name, const std::string& entry = "TestRMSNorm") {
  return KernelConfig({{"RMSNorm", fixture(name).string() + ":" + entry}}, {.use_local_kernel = true});
}

inline LayerReport bind_fixture(NormLayer& layer, const std::string& name, bool use_fallback = true) {
  return kernelize(layer, {.kernel_config = fixture_config(name), .use_fallback = use_fallback}).layers.at(0);
}

}  // namespace graft::test
