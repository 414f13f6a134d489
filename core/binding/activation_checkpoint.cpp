#include "graft/activation_checkpoint.h"

#include <ATen/SequenceNumber.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/api/include/torch/autograd.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "autograd.h"
#include "graft/error.h"

namespace graft {
namespace {

using detail::CheckpointedBlock;
using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

/// The inputs as leaves, so that the block's graph ends at them.
variable_list as_leaves(const variable_list& inputs) {
  variable_list leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.defined() ? input.detach().requires_grad_(input.requires_grad()) : input);
  }
  return leaves;
}

bool among(const variable_list& tensors, const at::Tensor& tensor) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const at::Tensor& t) { return t.is_same(tensor); });
}

/// The parameters in the graph of `outputs`, which this thread has built on `inputs` since its sequence
/// number `start`.
variable_list parameters_of(const variable_list& outputs, const variable_list& inputs, uint64_t start) {
  variable_list parameters;
  std::unordered_set<Node*> seen;
  std::vector<Node*> todo;
  const auto reach = [&](const std::shared_ptr<Node>& node) {
    if (node != nullptr && seen.insert(node.get()).second) todo.push_back(node.get());
  };
  for (const at::Tensor& output : outputs) {
    if (output.requires_grad()) reach(torch::autograd::impl::gradient_edge(output).function);
  }
  while (!todo.empty()) {
    Node& node = *todo.back();
    todo.pop_back();
    if (const auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(&node)) {
      if (!among(inputs, leaf->variable)) parameters.push_back(leaf->variable);
      continue;
    }
    if (node.sequence_nr() < start || node.thread_id() != at::RecordFunction::currentThreadId()) {
      throw Error(ErrorCode::invalid_argument, "checkpoint",
                  "the block uses a result of " + node.name() + " from outside, whose gradient would be lost",
                  "hand that tensor to the block as an input");
    }
    for (const auto& edge : node.next_edges()) reach(edge.function);
  }
  return parameters;
}

/// Its edges: one per input, then one per parameter.
class CheckpointBackward : public Node {
 public:
  CheckpointBackward(CheckpointedBlock block, const variable_list& inputs, variable_list parameters)
      : Node(torch::autograd::collect_next_edges(inputs, parameters)),
        block_(std::make_shared<const CheckpointedBlock>(std::move(block))),
        parameters_(std::move(parameters)) {
    for (const at::Tensor& input : inputs) inputs_.emplace_back(input, /*is_output=*/false);
  }

  variable_list apply(variable_list&& grad_outputs) override {
    const bool create_graph = at::GradMode::is_enabled();
    variable_list gradients = run(grad_outputs);
    if (create_graph) refuse_second_derivatives(*this, "a checkpointed block", grad_outputs, gradients);
    return gradients;
  }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    for (SavedVariable& input : inputs_) input.reset_data();
    block_.reset();  // it may hold tensors
  }

  std::string name() const override { return "GraftCheckpointBackward"; }

 private:
  variable_list run(const variable_list& grad_outputs) {
    variable_list inputs;
    std::shared_ptr<const CheckpointedBlock> block;
    {
      const std::lock_guard lock(mutex_);
      for (const SavedVariable& input : inputs_) inputs.push_back(input.unpack());
      block = block_;
    }
    TORCH_CHECK(block != nullptr, torch::autograd::ERR_BACKWARD_TWICE);
    inputs = as_leaves(inputs);
    variable_list outputs;
    {
      const at::AutoGradMode grad(true);
      outputs = (*block)(inputs);
    }

    variable_list roots, root_gradients, wanted;
    for (size_t i = 0; i < outputs.size() && i < grad_outputs.size(); ++i) {
      if (!grad_outputs[i].defined() || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      root_gradients.push_back(grad_outputs[i].detach());
    }
    inputs.insert(inputs.end(), parameters_.begin(), parameters_.end());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (task_should_compute_output(i)) wanted.push_back(inputs[i]);
    }
    variable_list gradients(inputs.size());
    if (roots.empty() || wanted.empty()) return gradients;
    variable_list computed = torch::autograd::grad(roots, wanted, root_gradients, /*retain_graph=*/false,
                                                   /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0, next = 0; i < inputs.size(); ++i) {
      if (task_should_compute_output(i)) gradients[i] = std::move(computed[next++]);
    }
    return gradients;
  }

  std::shared_ptr<const CheckpointedBlock> block_;
  std::vector<SavedVariable> inputs_;
  const variable_list parameters_;
};

}  // namespace

std::vector<at::Tensor> detail::checkpoint(CheckpointedBlock block, const std::vector<at::Tensor>& inputs) {
  if (!at::GradMode::is_enabled()) return block(inputs);
  const uint64_t start = at::sequence_number::peek();
  // With its graph, which says what the block depends on; it is gone when this function returns.
  const variable_list leaves = as_leaves(inputs);
  variable_list outputs = block(leaves);
  if (std::none_of(outputs.begin(), outputs.end(), [](const at::Tensor& t) { return t.requires_grad(); }))
    return outputs;

  const std::shared_ptr<CheckpointBackward> node(
      new CheckpointBackward(std::move(block), inputs, parameters_of(outputs, leaves, start)),
      torch::autograd::deleteNode);
  for (at::Tensor& output : outputs) {
    if (output.requires_grad()) {
      output = output.tensor_data();  // the same data without the history
      torch::autograd::set_history(output, node);
    } else {
      node->add_input_metadata(Node::undefined_input());
    }
  }
  return outputs;
}

}  // namespace graft
