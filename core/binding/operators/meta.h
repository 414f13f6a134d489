// The operators on tensors without data: a trace learns from these what it will get.
#pragma once

#include <vector>

#include "operator_call.h"

namespace graft {

/// Outputs, and with `saved` those for backward. Throws Error(invalid_argument) for inputs that break the
/// contract in presence, dtype or shape. No kernel is loaded.
std::vector<at::Tensor> meta_forward(const OperatorCall& call, bool saved);

/// Gradients of the inputs, in their order; undefined where none is needed.
std::vector<at::Tensor> meta_backward(const BackwardCall& call);

}  // namespace graft
