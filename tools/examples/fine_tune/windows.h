// A text as rows of tokens, in the order in which training sees them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

/// The ids cut into windows of `length` tokens, the rest left away; step after step takes the next `batch`
/// windows, and after the last one begins anew.
class Windows {
 public:
  /// Throws graft::Error(invalid_argument) if the ids do not fill one window.
  Windows(std::vector<int64_t> ids, int64_t length);
  int64_t count() const { return int64_t(ids_.size()) / length_; }
  /// [batch, length] int64.
  at::Tensor batch(int64_t step, int64_t batch) const;

 private:
  std::vector<int64_t> ids_;
  int64_t length_;
};
