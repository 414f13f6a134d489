// A call's arguments by position in the contract: which is what, and tensors as the contract wants them.
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>

#include <c10/core/Allocator.h>
#include <c10/core/DispatchKey.h>
#include <c10/core/TensorOptions.h>

#include <span>

#include "graft/plugin.h"

namespace graft {

inline constexpr size_t kMaxArguments = 24;

inline std::span<const graft_argument> arguments_of(const graft_contract& contract) {
  return {contract.arguments, contract.argument_count};
}
inline std::span<const graft_attribute> attributes_of(const graft_contract& contract) {
  return {contract.attributes, contract.attribute_count};
}

inline bool is_input(const graft_argument& argument) {
  return argument.direction != GRAFT_OUT;
}
inline bool is_weight(const graft_argument& argument) {
  return (argument.flags & GRAFT_ARG_WEIGHT) != 0;
}
inline bool is_saved(const graft_argument& argument) {
  return (argument.flags & GRAFT_ARG_SAVED) != 0;
}
/// Whether backward sees it.
inline bool is_for_backward(const graft_argument& argument) {
  return (argument.flags & (GRAFT_ARG_KEPT | GRAFT_ARG_SAVED)) != 0;
}

/// Row-major, or with unit stride in the last dimension, as the contract's flags ask.
inline bool strides_fit(const at::Tensor& tensor, uint32_t flags) {
  if ((flags & GRAFT_ARG_STRIDED) != 0) return true;
  if ((flags & GRAFT_ARG_ROWS) != 0)
    return tensor.dim() == 0 || tensor.size(-1) <= 1 || tensor.stride(-1) == 1;
  return tensor.is_contiguous();
}

/// Row-major, contents undefined; on the current one of the devices of its kind.
inline at::Tensor allocate(at::IntArrayRef sizes, at::ScalarType type, c10::Device device) {
  if (device.is_cpu()) return at::Tensor(at::detail::empty_cpu(sizes, type));
  // As at::empty on the device, which is the current one, without its way through the dispatcher.
  const c10::DispatchKeySet keys(c10::computeDispatchKey(type, at::kStrided, device));
  return at::Tensor(at::detail::empty_generic(sizes, c10::GetAllocator(device.type()), keys, type, std::nullopt));
}

}  // namespace graft
