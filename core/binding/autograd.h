// A kernel's call as one node of torch's autograd.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <span>
#include <string>

#include "kernel_instance.h"

namespace graft {

/// Puts one node on the outputs of a call, whose backward is the entry's. `arguments` are the call's by
/// position in the contract, weights and SAVED outputs included; null or undefined: absent. `workspace`:
/// bytes that backward needs.
///
/// Keeps what the contract flags KEPT or SAVED, as torch's saved variables: a change in place before
/// backward, and a second backward without retain_graph, are torch's own errors. Backward runs on whatever
/// thread torch runs it on, several at once, and throws Error(plugin) where the entry fails: there is no
/// falling back half-way.
void record_backward(std::shared_ptr<const KernelInstance> instance,
                     std::span<const at::Tensor* const> arguments, size_t workspace);

/// Makes `results`, which `node` has computed from `grad_outputs`, throw Error(unsupported) where they are
/// themselves differentiated. To be called where a graph is asked for (create_graph): results are good as
/// long as nobody does.
void refuse_second_derivatives(const torch::autograd::Node& node, const std::string& of,
                               const torch::autograd::variable_list& grad_outputs,
                               const torch::autograd::variable_list& results);

}  // namespace graft
