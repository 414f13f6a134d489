// What tests on a GPU share.
#pragma once

#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <string>

#include "cuda_runtime.h"
#include "graft/error.h"

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

/// Skips every test where there is no GPU.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }
};

}  // namespace graft::testing
