// What tests on a GPU share.
#pragma once

#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <utility>

#include "bound_kernel.h"
#include "cuda_runtime.h"
#include "graft/error.h"
#include "slot_state.h"

namespace graft::testing {

/// Why there is no GPU to test on; empty if there is. Opens LibTorch's CUDA side.
inline std::string why_no_gpu() {
  static const std::string why = [] {
    try {
      return open_cuda() > 0 ? std::string() : std::string("there is no CUDA device");
    } catch (const Error& error) {
      return error.why();
    }
  }();
  return why;
}

inline const c10::Device kGpu(c10::kCUDA, 0);

/// Binds the kernel onto the only slot of a module on the GPU, for both modes; what it fails at is an error.
inline void bind_alone(const torch::nn::Module& module, std::shared_ptr<const Kernel> kernel, at::ScalarType dtype) {
  const std::shared_ptr<SlotState> slot = slot_registry::of(&module).front();
  SlotBinding binding;
  binding.inference = binding.training = std::make_shared<const BoundKernel>(std::move(kernel), slot->facts(kGpu, dtype));
  binding.use_fallback = false;
  slot->bind(std::move(binding));
}

/// Skips every test where there is no GPU.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }
};

}  // namespace graft::testing
