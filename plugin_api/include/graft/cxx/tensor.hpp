// Tensor: a view of a graft_tensor. Owns nothing; valid until the call returns.
#pragma once

#include "../abi/tensor.h"

namespace graft::plugin {

inline constexpr graft_dtype float64{GRAFT_DTYPE_FLOAT, 64, 1};
inline constexpr graft_dtype float32{GRAFT_DTYPE_FLOAT, 32, 1};
inline constexpr graft_dtype float16{GRAFT_DTYPE_FLOAT, 16, 1};
inline constexpr graft_dtype bfloat16{GRAFT_DTYPE_BFLOAT, 16, 1};
inline constexpr graft_dtype int64{GRAFT_DTYPE_INT, 64, 1};

inline constexpr bool same(graft_dtype a, graft_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

class Tensor {
 public:
  explicit Tensor(const graft_tensor* tensor) : tensor_(tensor) {}

  int ndim() const { return tensor_->ndim; }
  graft_dtype dtype() const { return tensor_->dtype; }
  graft_device device() const { return tensor_->device; }

  // Size and stride (in elements) of a dimension; negative ones count from the end: size(-1) is the last.
  int64_t size(int dim) const { return tensor_->shape[dim < 0 ? dim + tensor_->ndim : dim]; }
  int64_t stride(int dim) const { return tensor_->strides[dim < 0 ? dim + tensor_->ndim : dim]; }

  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < tensor_->ndim; ++i) n *= tensor_->shape[i];
    return n;
  }

  bool is_contiguous() const {
    int64_t expected = 1;
    for (int i = tensor_->ndim - 1; i >= 0; --i) {
      if (tensor_->shape[i] != 1 && tensor_->strides[i] != expected) return false;
      expected *= tensor_->shape[i];
    }
    return true;
  }

  // The first element. T is not checked against dtype(): an entry's dtypes() and the contract vouch for it.
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(static_cast<char*>(tensor_->data) + tensor_->byte_offset);
  }

  const graft_tensor* c() const { return tensor_; }

 private:
  const graft_tensor* tensor_;
};

}  // namespace graft::plugin
