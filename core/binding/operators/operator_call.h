// OperatorCall: what the dispatcher hands to an operator, by position in the contract.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/stack.h>
#include <c10/core/SymInt.h>

#include <array>
#include <string>
#include <vector>

#include "arguments.h"
#include "graft/contract_plan.h"

namespace graft {

struct OperatorCall {
  const ContractPlan* plan;
  std::array<at::Tensor, kMaxArguments> tensors;  // undefined: absent, or not there (any more)
  std::vector<graft_value> attributes;            // strings point into the stack
  const std::string* kernel;                      // on the stack
  graft_dtype dtype;  // the contract's "T" in this call; bits 0 if no tensor says it

  const graft_contract& contract() const { return plan->contract(); }
  /// Of its first tensor.
  c10::Device device() const {
    for (const at::Tensor& tensor : tensors)
      if (tensor.defined()) return tensor.device();
    return c10::kCPU;
  }
};

/// Of the contract's operator, or that of its forward.
OperatorCall forward_call(const ContractPlan& plan, const torch::jit::Stack& stack);

/// Of backward: tensors are those that it takes.
struct BackwardCall : OperatorCall {
  std::array<at::Tensor, kMaxArguments> grad_outputs;  // in the order of the outputs that are not SAVED
  std::array<std::vector<c10::SymInt>, kMaxArguments> input_sizes;  // of inputs whose sizes alone it takes
  uint64_t needs_gradient = 0;                                      // bit i: of the i-th input
};
BackwardCall backward_call(const ContractPlan& plan, const torch::jit::Stack& stack);

/// How many inputs the contract has, weights included.
size_t input_count(const graft_contract& contract);

/// The outputs' positions as operators return them: the contract's own first, then those SAVED for backward,
/// if asked for.
std::vector<size_t> output_order(const graft_contract& contract, bool saved);

/// Takes the call's arguments off the stack and puts the results there.
template <class Tensors>
void give(torch::jit::Stack& stack, size_t arguments, Tensors&& results) {
  torch::jit::drop(stack, arguments);
  for (at::Tensor& result : results) stack.emplace_back(std::move(result));
}

}  // namespace graft
