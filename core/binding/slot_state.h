// SlotState: what a KernelSlot knows of its layer, and the kernel in force.
#pragma once

#include <c10/util/SmallVector.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bound_kernel.h"
#include "call_watch.h"
#include "fused_chain.h"
#include "graft/kernel_slot.h"
#include "graft/mode.h"
#include "layer_line.h"
#include "speed_trial.h"

namespace graft {

/// What a slot runs: a kernel for inference and one for training, either of which may be missing; often they are one.
struct SlotBinding {
  enum class Chosen : uint8_t { by_module, inference, training };  // by_module: is_training() decides, at each call

  std::string module = {};  // its path: "model.layers.0.mlp"
  std::shared_ptr<const BoundKernel> inference = nullptr, training = nullptr;
  /// Set for a further member of a fusion, which has no kernel of its own then.
  std::shared_ptr<FusedChain> inference_chain = nullptr, training_chain = nullptr;
  LayerLine inference_line = {}, training_line = {};
  std::shared_ptr<SpeedTrial> trial = nullptr;  // of the kernel for inference; null: it always runs
  Chosen chosen = Chosen::by_module;
  bool use_fallback = true;  // false: a call that cannot run its kernel is an Error, a missing kernel that was asked for too
};

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
  /// Of its weights together; those that its module does not have count as none.
  size_t weight_bytes() const;

  /// Puts kernels in force. Safe while other threads call.
  void bind(SlotBinding binding);

  /// One of the kernels in force, if binding `kernel` with these facts would make the same again.
  std::shared_ptr<const BoundKernel> bound(const Kernel& kernel, const LayerFacts& facts) const;
  /// Likewise with those that facts() would give, without gathering them.
  std::shared_ptr<const BoundKernel> bound(const Kernel& kernel, c10::Device device,
                                           at::ScalarType fallback_dtype,
                                           const std::string& operator_kernel) const;

  /// The line of the mode in force now.
  LayerReport report() const;
  /// Told of the layer as one at another path: in the module that it is asked for.
  LayerReport report(const std::string& module) const;

  /// The way of one call.
  CallTurn run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count);

  /// Not null: a call comes here; null: the layer's own forward runs, whatever the mode.
  const std::atomic<const void*>& active() const { return active_; }

  /// Whether the kernel in inference has the weights in a form of its own: what lies in memory was given back
  /// then.
  bool prepacks() const;

 private:
  bool trains() const;
  /// The way of a call that the kernel gets if it can.
  [[gnu::always_inline]] CallTurn run_kernel(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count, bool training);
  /// The way of a call in inference where the kernel may be slower than the own forward.
  [[gnu::noinline]] CallTurn run_fastest(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count);
  /// Whether a kernel that is not deterministic may run now; tells the layer's line where that has changed. Throws if it may
  /// not, and nothing may take its place.
  bool may_run(const BoundKernel& kernel);
  /// Whether the layer is a further member of a fusion whose kernel made this input, which is then the output as well.
  bool pass(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count);
  std::atomic<const BoundKernel*>& kernel_of(bool training) { return training ? training_ : inference_; }
  LayerLine& line_of(bool training) { return training ? training_line_ : inference_line_; }
  void keep(std::shared_ptr<const BoundKernel> kernel);
  void refresh_active();
  /// Binds again after a weight has changed. What it returns is in force; `changed`: whether the layer's line is another now.
  const BoundKernel* rebind(const BoundKernel* stale, bool training, bool& changed);
  /// What to put in the place of `stale`; `why` says why it is nothing that runs. Null: nor anything that waits.
  std::shared_ptr<const BoundKernel> made_again(const BoundKernel& stale, std::string& why) const;
  /// Whether that was one too many, and the kernel is in force no more.
  bool count_failure(const BoundKernel* kernel, bool training);
  /// One call of the kernel, counted, and seen by whoever watches.
  [[gnu::always_inline]] BoundKernel::Outcome call(const BoundKernel& kernel, std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count);
  [[gnu::noinline]] BoundKernel::Outcome call_watched(const BoundKernel& kernel, std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                                      size_t count);
  /// What follows a call that was not simply done; as run().
  [[gnu::noinline]] CallTurn settle(BoundKernel::Outcome outcome, const BoundKernel* kernel, bool training, std::initializer_list<TensorArg> inputs,
                                at::Tensor* outputs, size_t count);
  /// The layer's own forward shall run; throws where it must not.
  [[gnu::noinline]] CallTurn left_to_own(bool training) const;
  /// Throws the reason if a kernel was asked for, and could not be had.
  void throw_missing(bool training) const;

  /// Where facts() finds one of the contract's weights.
  struct Weight {
    size_t position;  // among the contract's arguments
    WeightSource source;
  };
  std::vector<Weight> weight_sources() const;
  /// Null if the module does not have it.
  const at::Tensor* find(const WeightSource& source) const;
  /// Whether `facts`, of an earlier time, are those of now.
  bool still_holds(const LayerFacts& facts, c10::Device device, at::ScalarType dtype) const;
  template <class Is>
  std::shared_ptr<const BoundKernel> in_force(Is&& is) const;
  LayerReport report_as(const std::string& module) const;  // under mutex_

  torch::nn::Module* owner_;
  const ContractPlan* plan_;
  KernelLayerOptions options_;
  std::vector<Weight> weights_;
  std::vector<graft_value> attributes_;  // in the contract's order; strings point into options_

  std::atomic<const void*> active_{nullptr};
  std::atomic<const BoundKernel*> inference_{nullptr}, training_{nullptr};
  static constexpr uint8_t kByModule = uint8_t(SlotBinding::Chosen::by_module), kPasses = 4, kTries = 8;
  /// A SlotBinding::Chosen, with kPasses if the layer was ever a further member of a fusion, and kTries if there is a trial.
  std::atomic<uint8_t> chosen_{kByModule};
  std::atomic<bool> use_fallback_{true};
  std::atomic<int> failures_{0};
  std::atomic<SpeedTrial*> trial_{nullptr};
  std::atomic<uint32_t> told_findings_{0};  // of the trial, as the layer's line was last told
  std::atomic<bool> held_back_{false};  // the last call's kernel, since deterministic algorithms are asked for
  alignas(64) CallCounters counters_;  // on a line of their own: every call writes here, and reads what stands above
  alignas(64) mutable std::mutex mutex_;  // guards what follows; never held during a call of the kernel
  std::string module_;
  LayerLine inference_line_, training_line_;
  std::shared_ptr<FusedChain> inference_chain_, training_chain_;
  /// Those, and those of earlier bindings: another thread may still be between two members.
  std::vector<std::shared_ptr<FusedChain>> chains_;
  /// Those in force, and those that bind() replaced: another thread may still be in a call of one, and calls are not counted.
  std::vector<std::shared_ptr<const BoundKernel>> kernels_;
  /// That in force and earlier ones, for the same reason.
  std::vector<std::shared_ptr<SpeedTrial>> trials_;
  /// What rebind() replaced, until the next time: then weights have changed again, and while they change nobody is in a call.
  std::shared_ptr<const BoundKernel> outdated_;
};

/// The slots that modules registered, by module: the binding layer's one registry. Thread-safe.
namespace slot_registry {
void add(const std::shared_ptr<SlotState>& state);
void remove(const SlotState* state);
using Slots = c10::SmallVector<std::shared_ptr<SlotState>, 2>;  // most modules have one or none
Slots of(const torch::nn::Module* owner);
}  // namespace slot_registry

}  // namespace graft
