// A slot's call through its contract's operator.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>

#include "graft/kernel_slot.h"
#include "kernel_instance.h"

namespace graft {

/// Calls the operator with the layer's weights and attributes, and with facts.operator_kernel. Throws what
/// the operator throws.
void call_operator(const LayerFacts& facts, std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                   size_t output_count);

}  // namespace graft
