// Draw: random tensors for a case, the same ones in every run.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace graft::reference {

using Sizes = std::vector<int64_t>;

/// "1x576"
std::string to_text(const Sizes& shape);

/// Values are drawn in float32 on the CPU and then rounded to the dtype, so that a case has the same ones on
/// every device. Throws Error(unsupported) rather than ask for more than this machine's memory.
class Draw {
 public:
  Draw(at::ScalarType dtype, c10::Device device);

  /// Normally distributed.
  at::Tensor normal(const Sizes& sizes, double deviation = 1, double mean = 0);
  /// float64 in [0, 1), of shape [count], whatever the dtype.
  at::Tensor uniform(int64_t count);
  /// int64 in [0, end), of shape [count].
  at::Tensor indices(int64_t count, int64_t end);

 private:
  at::ScalarType dtype_;
  c10::Device device_;
  at::Generator generator_;
  double bytes_ = 0;  // drawn so far, with what a case makes of them
};

}  // namespace graft::reference
