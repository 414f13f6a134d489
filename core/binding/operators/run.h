// The operators on tensors with data: the kernel that the call names, run.
#pragma once

#include <vector>

#include "operator_call.h"

namespace graft {

/// Outputs, and with `saved` those for backward. Throws Error: as ServedKernels::instance; invalid_argument
/// for inputs that break the contract; unsupported if the kernel does not serve these shapes, or has no
/// backward and `saved` asks for one; plugin if it fails. There is no falling back: an operator has no
/// forward of its own.
std::vector<at::Tensor> run_forward(const OperatorCall& call, bool saved);

/// Gradients of the inputs, in their order; undefined where none is needed, or none came in. Throws Error as
/// run_forward.
std::vector<at::Tensor> run_backward(const BackwardCall& call);

}  // namespace graft
