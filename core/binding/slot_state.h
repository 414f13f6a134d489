// SlotState: what a KernelSlot knows of its layer, and the kernel in force.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bound_kernel.h"
#include "graft/bind_report.h"
#include "graft/kernel_slot.h"
#include "graft/mode.h"

namespace graft {

class SlotState {
 public:
  SlotState(torch::nn::Module* owner, const ContractPlan& plan, KernelLayerOptions options);

  torch::nn::Module* owner() const { return owner_; }
  const std::string& layer() const { return options_.layer; }
  const ContractPlan& plan() const { return *plan_; }
  const KernelLayerOptions& options() const { return options_; }

  /// The layer's facts for a device, its weights looked up by name. Where these are says the device, unless that is the
  /// meta device. Throws Error(not_found) for a weight that the module does not have.
  LayerFacts facts(c10::Device device, at::ScalarType fallback_dtype) const;

  /// Puts a kernel in force (null: none) with its line of the report. `any_mode`: also while the module is training and
  /// no gradient is needed. Safe while other threads call.
  void bind(std::unique_ptr<BoundKernel> kernel, LayerReport report, bool use_fallback, bool any_mode);
  LayerReport report() const;

  /// The way of one call; false: the layer's own forward shall run.
  bool run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count);

  const std::atomic<const void*>& active() const { return active_; }

 private:
  const BoundKernel* rebind(const BoundKernel* stale);
  void count_failure(const BoundKernel* kernel);

  torch::nn::Module* owner_;
  const ContractPlan* plan_;
  KernelLayerOptions options_;
  std::vector<graft_value> attributes_;  // in the contract's order; strings point into options_

  std::atomic<const void*> active_{nullptr};  // a BoundKernel
  std::atomic<bool> use_fallback_{true}, any_mode_{false};
  std::atomic<int> failures_{0};
  mutable std::mutex mutex_;  // guards what follows; never held during a call of the kernel
  LayerReport report_;
  /// All kernels ever bound: another thread may still be in a call of one that was replaced.
  std::vector<std::unique_ptr<BoundKernel>> kernels_;
};

/// The slots that modules registered, by module: the binding layer's one registry. Thread-safe.
namespace slot_registry {
void add(const std::shared_ptr<SlotState>& state);
void remove(const SlotState* state);
std::vector<std::shared_ptr<SlotState>> of(const torch::nn::Module* owner);
}  // namespace slot_registry

}  // namespace graft
