// Gradients that a backward is asked for, whole contiguous tensors.
#pragma once

#include <optional>

#include "portability.h"

namespace graft::gpu {

// Where the gradient of input `index` goes; nothing: it is not asked for.
inline std::optional<plugin::Tensor> wanted(const plugin::Arguments& grad_inputs, uint64_t needs, int index) {
  return (needs >> index & 1) != 0 ? grad_inputs.optional(index) : std::nullopt;
}

// A zero gradient, if it is asked for.
inline void set_zero(Stream stream, const std::optional<plugin::Tensor>& tensor) {
  if (tensor) clear(stream, tensor->data<void>(), size_t(tensor->numel()) * (tensor->dtype().bits / 8));
}

}  // namespace graft::gpu
