// BoundKernel: one entry with its instance for one layer. Immutable, so that any thread may call it.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "graft/contract.h"
#include "graft/kernel_slot.h"
#include "graft/runtime.h"

namespace graft {

/// What a layer tells the kernel beside its inputs.
struct LayerFacts {
  const ContractPlan* plan = nullptr;
  std::vector<graft_value> attributes;  // in the contract's order; strings point into the slot's options
  /// By position in the contract; undefined where the argument is no weight or an absent optional one.
  std::vector<at::Tensor> weights;
  c10::Device device = c10::kCPU;
  at::ScalarType dtype = at::kFloat;
};

class BoundKernel {
 public:
  enum class Outcome {
    done,         // outputs are filled
    unsupported,  // an answer: the layer's own forward serves this call
    stale,        // a weight has changed or moved since: bind again
    failed,       // failure() says why; outputs are not to be used
  };

  /// Creates and prepares an instance. Throws Error: unsupported if contract, device, dtype or attributes are not
  /// served, plugin if the plugin fails.
  BoundKernel(Kernel kernel, LayerFacts facts);
  BoundKernel(const BoundKernel&) = delete;

  /// The constructor up to prepare: throws what it throws, keeps nothing, and shows the kernel no weight. These may be on
  /// the meta device, and are then taken for such on facts.device.
  static void check(Kernel kernel, LayerFacts facts);

  /// Runs forward. `inputs`: the contract's inputs that are no weights, in its order; trailing optional ones may be left
  /// away. `outputs` are allocated here. Throws Error(invalid_argument) for inputs that break the contract, and
  /// Error(plugin) if an inout argument may be half written or the device is lost.
  Outcome call(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count) const;

  const Kernel& kernel() const { return kernel_; }
  const LayerFacts& facts() const { return facts_; }
  /// What the last failed call on this thread said.
  static const std::string& failure();

 private:
  struct Weight {
    size_t position;
    at::Tensor tensor;
    graft_tensor view;
    int64_t version;
  };
  struct GiveBack {  // destroy(), unless deinit has run: a model with static storage may outlive its plugins
    const graft_entry* entry;
    void operator()(graft_instance* instance) const;
  };
  struct Unprepared {};  // a constructor's tag
  BoundKernel(Kernel kernel, LayerFacts facts, Unprepared);
  void prepare();
  bool weights_changed() const;
  bool gradient_needed(std::initializer_list<TensorArg> inputs) const;

  Kernel kernel_;
  LayerFacts facts_;
  std::vector<Weight> weights_;
  std::vector<graft_value> template_;  // a call's arguments with the weights filled in
  ContractBinding binding_;            // the dimensions that the weights fix
  std::unique_ptr<graft_instance, GiveBack> instance_;  // null for an entry without state
};

}  // namespace graft
