// An operator's call as one node of torch's autograd, whose backward is the contract's backward operator.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include "graft/contract_plan.h"

namespace graft {

/// Whether a gradient is asked of one of the call's tensors, the last `arguments` on the stack. Throws
/// Error(unsupported) if one has a tangent: there is no forward-mode derivative.
bool gradient_needed(const torch::jit::Stack& stack, size_t arguments);

/// Calls `forward` in the place of the contract's operator and puts one node on its outputs, which calls
/// `backward`. Both go through the dispatcher, so that a trace holds them.
void call_with_gradient(const ContractPlan& plan, const c10::OperatorHandle& forward,
                        const c10::OperatorHandle& backward, torch::jit::Stack& stack);

}  // namespace graft
