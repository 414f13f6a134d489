#include "operator_backward.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <mutex>
#include <vector>

#include "graft/error.h"
#include "operator_call.h"
#include "schema.h"

namespace graft {
namespace {

using c10::IValue;
using torch::autograd::edge_list;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

IValue as_ivalue(const at::Tensor& tensor) {
  return tensor.defined() ? IValue(tensor) : IValue();
}

class OperatorBackward : public torch::autograd::Node {
 public:
  OperatorBackward(const ContractPlan& plan, const c10::OperatorHandle& backward, const OperatorCall& call,
                   std::vector<IValue> constants, edge_list edges)
      : Node(std::move(edges)), plan_(plan), backward_(backward), constants_(std::move(constants)) {
    for (uint32_t i = 0; i < plan.contract().argument_count; ++i) {
      if (backward_takes(plan.contract().arguments[i]) != BackwardTakes::sizes) continue;
      sizes_.push_back(call.tensors[i].defined() ? call.tensors[i].sym_sizes().vec()
                                                 : std::vector<c10::SymInt>());
    }
  }

  /// Once this node is the outputs' history: torch saves a node's own outputs without that, which would be a
  /// cycle.
  void save(const OperatorCall& call) {
    for (uint32_t i = 0; i < plan_.contract().argument_count; ++i) {
      const graft_argument& argument = plan_.contract().arguments[i];
      if (backward_takes(argument) != BackwardTakes::tensor) continue;
      saved_.emplace_back(call.tensors[i], /*is_output=*/!is_input(argument) && !is_saved(argument));
    }
  }

  variable_list apply(variable_list&& grad_outputs) override {
    torch::jit::Stack stack;
    for (const at::Tensor& gradient : grad_outputs) stack.push_back(as_ivalue(gradient));
    unpack(stack);
    c10::List<bool> mask;
    for (size_t i = 0; i < num_outputs(); ++i) mask.push_back(task_should_compute_output(i));
    stack.emplace_back(std::move(mask));
    stack.insert(stack.end(), constants_.begin(), constants_.end());
    backward_.callBoxed(stack);
    variable_list gradients;
    for (IValue& value : stack)
      gradients.push_back(value.isTensor() ? std::move(value).toTensor() : at::Tensor());
    return gradients;
  }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    for (SavedVariable& saved : saved_) saved.reset_data();
  }

  std::string name() const override { return std::string("GraftBackward(") + plan_.contract().name + ")"; }

 private:
  void unpack(torch::jit::Stack& stack) {
    const std::lock_guard lock(mutex_);  // another thread may be releasing them
    size_t saved = 0, sizes = 0;
    for (uint32_t i = 0; i < plan_.contract().argument_count; ++i) {
      const BackwardTakes takes = backward_takes(plan_.contract().arguments[i]);
      if (takes == BackwardTakes::tensor) stack.push_back(as_ivalue(saved_[saved++].unpack(getptr())));
      if (takes == BackwardTakes::sizes) stack.emplace_back(sizes_[sizes++]);
    }
  }

  const ContractPlan& plan_;
  const c10::OperatorHandle backward_;
  const std::vector<IValue> constants_;  // attributes and kernel
  std::vector<std::vector<c10::SymInt>>
      sizes_;                         // of the inputs whose sizes alone backward takes, in their order
  std::vector<SavedVariable> saved_;  // of the others, and of outputs that it takes
};

edge_list edges_to_inputs(const OperatorCall& call) {
  edge_list edges;
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    if (!is_input(call.contract().arguments[i])) continue;
    edges.push_back(call.tensors[i].defined() ? torch::autograd::impl::gradient_edge(call.tensors[i])
                                              : torch::autograd::Edge());
  }
  return edges;
}

}  // namespace

bool gradient_needed(const torch::jit::Stack& stack, size_t arguments) {
  bool needed = false;
  for (size_t i = stack.size() - arguments; i < stack.size(); ++i) {
    if (!stack[i].isTensor() || !stack[i].toTensor().defined()) continue;
    const at::Tensor& tensor = stack[i].toTensor();
    needed = needed || tensor.requires_grad();
    if (!tensor._fw_grad(/*level=*/0).defined()) continue;
    throw Error(ErrorCode::unsupported, "forward-mode derivative of a graft operator",
                "kernels have backward alone", "use reverse mode, or the layer's own code");
  }
  return needed && at::GradMode::is_enabled();
}

void call_with_gradient(const ContractPlan& plan, const c10::OperatorHandle& forward,
                        const c10::OperatorHandle& backward, torch::jit::Stack& stack) {
  const graft_contract& contract = plan.contract();
  const size_t constants = contract.attribute_count + 1, arguments = input_count(contract) + constants;
  torch::jit::Stack results(stack.end() - int64_t(arguments), stack.end());
  OperatorCall call = forward_call(plan, stack);
  const std::shared_ptr<OperatorBackward> node(
      new OperatorBackward(plan, backward, call, {stack.end() - int64_t(constants), stack.end()},
                           edges_to_inputs(call)),
      torch::autograd::deleteNode);
  {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    forward.callBoxed(results);
  }
  torch::jit::drop(stack, arguments);
  size_t result = 0;
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (is_input(contract.arguments[i]) || is_saved(contract.arguments[i])) continue;
    at::Tensor output = call.tensors[i] = results[result++].toTensor();
    const bool differentiable = torch::autograd::isDifferentiableType(output.scalar_type());
    torch::autograd::set_history(differentiable ? output : at::Tensor(), node);
    stack.emplace_back(std::move(output));
  }
  for (uint32_t i = 0; i < contract.argument_count; ++i)
    if (is_saved(contract.arguments[i])) call.tensors[i] = results[result++].toTensor();
  node->save(call);
}

}  // namespace graft
