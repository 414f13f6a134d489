#include "autograd.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

#include "arguments.h"
#include "call_values.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "kernel_call.h"

namespace graft {
namespace {

using torch::autograd::Edge;
using torch::autograd::edge_list;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

Edge edge_to(const at::Tensor* tensor) {
  return tensor != nullptr && tensor->defined() ? torch::autograd::impl::gradient_edge(*tensor) : Edge();
}

/// One edge per input of the contract, in its order; an invalid one where no gradient is needed.
edge_list edges_to_inputs(const graft_contract& contract, std::span<const at::Tensor* const> arguments) {
  edge_list edges;
  edges.reserve(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (is_input(contract.arguments[i])) edges.push_back(edge_to(arguments[i]));
  }
  return edges;
}

class KernelBackward : public torch::autograd::Node {
 public:
  KernelBackward(std::shared_ptr<const KernelInstance> instance, edge_list edges, size_t workspace)
      : Node(std::move(edges)), instance_(std::move(instance)), workspace_(workspace) {}

  /// Once this node is the outputs' history: torch saves a node's own outputs without that, which would be a
  /// cycle.
  void save(std::span<const at::Tensor* const> arguments) {
    const graft_contract& contract = instance_->contract();
    for (size_t i = 0; i < arguments.size(); ++i) {
      const graft_argument& argument = contract.arguments[i];
      if (!is_for_backward(argument)) continue;
      const bool is_output = !is_input(argument) && !is_saved(argument);
      saved_.emplace_back(arguments[i] != nullptr ? *arguments[i] : at::Tensor(), is_output);
    }
  }

  variable_list apply(variable_list&& grad_outputs) override {
    const bool create_graph = at::GradMode::is_enabled();
    variable_list grad_inputs;
    {
      const at::NoGradGuard no_grad;
      grad_inputs = run(grad_outputs);
    }
    if (create_graph)
      refuse_second_derivatives(*this, "kernel " + instance_->kernel.ref.str(), grad_outputs, grad_inputs);
    return grad_inputs;
  }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    for (SavedVariable& saved : saved_) saved.reset_data();
  }

  std::string name() const override {
    return "GraftBackward(" + instance_->kernel.ref.str() + ")";  // torch's profiler shows a node's run by its name
  }

 private:
  variable_list run(const variable_list& grad_outputs) {
    variable_list grad_inputs(num_outputs());
    const bool any_gradient = std::any_of(grad_outputs.begin(), grad_outputs.end(),
                                          [](const at::Tensor& g) { return g.defined(); });
    if (!any_gradient) return grad_inputs;

    const OnDevice on_its_device(instance_->facts.device);
    CallValues arguments, gradients, results;
    unpack(arguments);
    for (size_t i = 0; i < grad_outputs.size(); ++i) {
      if (grad_outputs[i].defined()) gradients.set(i, plain(grad_outputs[i]));
    }
    uint64_t needs_gradient = 0;
    for (size_t i = 0; i < grad_inputs.size(); ++i) {
      if (!task_should_compute_output(i)) continue;
      needs_gradient |= uint64_t(1) << i;
      const Edge& edge = next_edge(i);  // what torch knows of the input there: it need not be kept
      const auto& input = edge.function->input_metadata(edge.input_nr);
      const at::IntArrayRef sizes = c10::asIntArrayRefSlow(input.shape_as_dim_vector(), __FILE__, __LINE__);
      grad_inputs[i] = allocate(sizes, input.dtype().toScalarType(), input.device());
      results.set(i, grad_inputs[i]);
    }

    const graft_entry& entry = *instance_->kernel.entry;
    const KernelCall call(instance_->facts.device, workspace_);
    const graft_status status = call_plugin([&] {
      return entry.backward(instance_->made, call.get(), arguments.data(), gradients.data(), needs_gradient,
                            results.data());
    });
    if (status == GRAFT_OK) return grad_inputs;
    throw Error(ErrorCode::plugin, "kernel " + instance_->kernel.ref.str(),
                "backward returned " + status_name(status) +
                    (plugin_message().empty() ? "" : ": " + plugin_message()),
                "report it to the kernel's author; unbound, the layer trains with its own forward");
  }

  void unpack(CallValues& arguments) {
    const graft_contract& contract = instance_->contract();
    const std::lock_guard lock(mutex_);  // another thread may be releasing them
    size_t next = 0;
    for (size_t i = 0; i < contract.argument_count; ++i) {
      const graft_argument& argument = contract.arguments[i];
      if (!is_for_backward(argument)) continue;
      at::Tensor tensor = saved_[next++].unpack(getptr());
      if (tensor.defined() && !strides_fit(tensor, argument.flags)) tensor = tensor.contiguous();
      arguments.set(i, std::move(tensor));
    }
  }

  const std::shared_ptr<const KernelInstance> instance_;
  const size_t workspace_;            // bytes
  std::vector<SavedVariable> saved_;  // KEPT and SAVED arguments, in the contract's order
};

/// What second derivatives find: the end of the way.
class SecondDerivative : public torch::autograd::Node {
 public:
  SecondDerivative(std::string of, edge_list edges) : Node(std::move(edges)), of_(std::move(of)) {}
  variable_list apply(variable_list&&) override {
    throw Error(ErrorCode::unsupported, "second derivative of " + of_, "it has a first derivative alone",
                "do without it where gradients are differentiated again");
  }

 private:
  std::string of_;
};

}  // namespace

void record_backward(std::shared_ptr<const KernelInstance> instance,
                     std::span<const at::Tensor* const> arguments, size_t workspace) {
  const graft_contract& contract = instance->contract();
  const std::shared_ptr<KernelBackward> node(
      new KernelBackward(std::move(instance), edges_to_inputs(contract, arguments), workspace),
      torch::autograd::deleteNode);
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (is_input(contract.arguments[i]) || is_saved(contract.arguments[i])) continue;
    const bool differentiable = torch::autograd::isDifferentiableType(arguments[i]->scalar_type());
    torch::autograd::set_history(differentiable ? *arguments[i] : at::Tensor(), node);
  }
  node->save(arguments);
}

void refuse_second_derivatives(const torch::autograd::Node& node, const std::string& of,
                               const variable_list& grad_outputs, const variable_list& results) {
  edge_list edges = node.next_edges();  // all that the results depend on
  for (const at::Tensor& gradient : grad_outputs) edges.push_back(edge_to(&gradient));
  const std::shared_ptr<SecondDerivative> refusal(new SecondDerivative(of, std::move(edges)),
                                                  torch::autograd::deleteNode);
  for (const at::Tensor& result : results) torch::autograd::set_history(result, refusal);
}

}  // namespace graft
