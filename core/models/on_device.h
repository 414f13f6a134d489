// A tensor where it is needed.
#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// The tensor itself where it is there already, or undefined; else a copy, which is a step of torch's graph.
inline at::Tensor on(c10::Device device, const at::Tensor& tensor) {
  return !tensor.defined() || tensor.device() == device ? tensor : tensor.to(device);
}

}  // namespace graft
