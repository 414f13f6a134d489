// KernelInstance: an entry's state for one layer, and what a layer tells it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "graft/contract.h"
#include "graft/runtime.h"

namespace graft {

class FusedChain;

/// What a layer tells the kernel beside its inputs.
struct LayerFacts {
  const ContractPlan* plan = nullptr;
  std::vector<graft_value> attributes;  // in the contract's order; strings point into the slot's options
  /// By position in the contract; undefined where the argument is no weight or an absent optional one.
  std::vector<at::Tensor> weights;
  c10::Device device = c10::kCPU;
  at::ScalarType dtype = at::kFloat;
  /// Not empty: calls go through the contract's operator in torch's dispatcher, which gets this as its `kernel_ref`.
  std::string operator_kernel = {};
  /// Not null: the kernel does the work of several layers, and the attributes' strings are among `texts`.
  std::shared_ptr<FusedChain> chain = nullptr;
  std::shared_ptr<const std::vector<std::unique_ptr<std::string>>> texts = nullptr;
};

/// Shared by a BoundKernel and the autograd nodes of its calls, which may outlive it, its slot and its
/// module: the attributes' strings are then gone, the weights that prepare() was shown are not. Immutable
/// once made.
struct KernelInstance {
  KernelInstance(std::shared_ptr<const Kernel> of, LayerFacts facts) : held(std::move(of)), kernel(*held), facts(std::move(facts)) {}
  ~KernelInstance();  // destroy(), unless deinit has run: a model with static storage may outlive its plugins
  KernelInstance(const KernelInstance&) = delete;

  const graft_contract& contract() const { return facts.plan->contract(); }

  const std::shared_ptr<const Kernel> held;  // one for all layers that it is bound onto
  const Kernel& kernel;
  const LayerFacts facts;
  graft_instance* made = nullptr;  // null for an entry without state
};

/// Throws Error(unsupported) if the entry does not serve the contract, the device or the dtype.
void check_served(const KernelInstance& instance);

/// Lets the entry make its state, `made`. Throws Error: unsupported for the attributes, plugin if it fails.
void create(KernelInstance& instance);

/// Shows the entry the weights, if it wants to see them. Throws Error(plugin) if it fails.
void prepare(const KernelInstance& instance, const graft_value* arguments);

}  // namespace graft
