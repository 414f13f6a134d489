// CallValues: tensors as an entry's functions get them.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "arguments.h"
#include "tensor_view.h"

namespace graft {

/// A gradient as the ABI has tensors: strided, without pending conjugation or negation, row-major.
inline at::Tensor plain(at::Tensor gradient) {
  if (gradient.layout() != at::kStrided) gradient = gradient.to_dense();
  return gradient.resolve_conj().resolve_neg().contiguous();
}

/// Values by position; absent ones are GRAFT_NONE. Holds the tensors.
class CallValues {
 public:
  CallValues() = default;
  CallValues(const CallValues&) = delete;  // values point to views
  void set(size_t i, at::Tensor tensor) {
    if (!tensor.defined()) return;
    tensors_[i] = std::move(tensor);
    views_[i] = view(tensors_[i]);
    values_[i] = as_value(&views_[i]);
  }
  /// Of queries: a shape without data. `sizes` and `strides` outlive the values.
  void set_shape(size_t i, at::IntArrayRef sizes, at::IntArrayRef strides, graft_dtype dtype) {
    views_[i] = {nullptr,
                 {GRAFT_DEVICE_CPU, 0},
                 static_cast<int32_t>(sizes.size()),
                 dtype,
                 const_cast<int64_t*>(sizes.data()),
                 const_cast<int64_t*>(strides.data()),
                 0};
    values_[i] = as_value(&views_[i]);
  }
  void remove(size_t i) { values_[i] = {}; }

  const at::Tensor& tensor(size_t i) const { return tensors_[i]; }
  const graft_value* data() const { return values_.data(); }

 private:
  std::array<at::Tensor, kMaxArguments> tensors_;
  std::array<graft_tensor, kMaxArguments> views_;
  std::array<graft_value, kMaxArguments> values_{};
};

}  // namespace graft
