// at::Tensor seen as DLPack, without touching its reference count.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "graft/contract.h"
#include "graft/plugin.h"

namespace graft {

inline graft_dtype to_graft(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return {GRAFT_DTYPE_FLOAT, 32, 1};
    case at::kBFloat16: return {GRAFT_DTYPE_BFLOAT, 16, 1};
    case at::kHalf: return {GRAFT_DTYPE_FLOAT, 16, 1};
    case at::kDouble: return {GRAFT_DTYPE_FLOAT, 64, 1};
    case at::kLong: return {GRAFT_DTYPE_INT, 64, 1};
    case at::kInt: return {GRAFT_DTYPE_INT, 32, 1};
    case at::kShort: return {GRAFT_DTYPE_INT, 16, 1};
    case at::kChar: return {GRAFT_DTYPE_INT, 8, 1};
    case at::kByte: return {GRAFT_DTYPE_UINT, 8, 1};
    case at::kBool: return {GRAFT_DTYPE_BOOL, 8, 1};
    case at::kComplexFloat: return {GRAFT_DTYPE_COMPLEX, 64, 1};
    case at::kComplexDouble: return {GRAFT_DTYPE_COMPLEX, 128, 1};
    case at::kFloat8_e4m3fn: return {GRAFT_DTYPE_FLOAT8_E4M3FN, 8, 1};
    case at::kFloat8_e5m2: return {GRAFT_DTYPE_FLOAT8_E5M2, 8, 1};
    default: return {GRAFT_DTYPE_UINT, 0, 0};  // fits no contract: check() refuses it
  }
}

/// Throws Error(unsupported) for a dtype that torch does not have.
at::ScalarType to_torch(graft_dtype dtype);

inline graft_device to_graft(c10::Device device) {
  switch (device.type()) {
    case c10::kCPU: return {GRAFT_DEVICE_CPU, 0};
    case c10::kCUDA: return {GRAFT_DEVICE_CUDA, device.has_index() ? device.index() : 0};
    case c10::kHIP: return {GRAFT_DEVICE_ROCM, device.has_index() ? device.index() : 0};
    case c10::kMPS: return {GRAFT_DEVICE_METAL, device.has_index() ? device.index() : 0};
    case c10::kXPU: return {GRAFT_DEVICE_XPU, device.has_index() ? device.index() : 0};
    default: return {0, 0};
  }
}

/// const_data_ptr() and mutable_data_ptr() of a tensor that is known to have a storage, and elements of `itemsize` bytes, without
/// asking again.
inline void* data_for_reading(const at::Tensor& tensor, int64_t itemsize) {
  const c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  return static_cast<char*>(const_cast<void*>(impl.unsafe_storage().data())) + itemsize * impl.storage_offset();
}
inline void* data_for_writing(const at::Tensor& tensor, int64_t itemsize) {
  const c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  return static_cast<char*>(impl.unsafe_storage().mutable_data()) + itemsize * impl.storage_offset();
}

/// Counts changes in place; 0 for a tensor of inference mode, which counts none.
inline int64_t version_of(const at::Tensor& tensor) {
  c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();  // Tensor::_version() asks by way of a virtual function
  return impl.is_inference() ? 0 : impl.version_counter().current_version();
}

/// A view that is valid while `tensor` lives and is not resized.
inline graft_tensor view(const at::Tensor& tensor) {
  return {const_cast<void*>(tensor.const_data_ptr()),
          to_graft(tensor.device()),
          static_cast<int32_t>(tensor.dim()),
          to_graft(tensor.scalar_type()),
          const_cast<int64_t*>(tensor.sizes().data()),
          const_cast<int64_t*>(tensor.strides().data()),
          0};
}

/// The ABI has no const here: `tensor` itself is never written.
inline graft_value as_value(const graft_tensor* tensor) {
  graft_value value{};
  value.tag = GRAFT_TENSOR;
  value.as.tensor = const_cast<graft_tensor*>(tensor);
  return value;
}

}  // namespace graft
