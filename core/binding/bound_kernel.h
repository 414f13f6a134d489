// BoundKernel: one entry with its instance for one layer. Immutable, so that any thread may call it.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "call_plan.h"
#include "grad_mode.h"
#include "graft/kernel_slot.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "kernel_instance.h"

namespace graft {

class BoundKernel {
 public:
  enum class Outcome {
    done,         // outputs are filled
    unsupported,  // an answer: the layer's own forward serves this call
    stale,        // a weight has changed or moved since: bind again
    unfit,        // of unfit() alone: the layer's own forward serves the weights as they are
    failed,       // failure() says why; outputs are not to be used
  };

  /// Creates and prepares an instance. Throws Error: unsupported if contract, device, dtype or attributes are
  /// not served, plugin if the plugin fails.
  BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts);
  BoundKernel(const BoundKernel&) = delete;

  /// The constructor up to prepare: throws what it throws, keeps nothing, and shows the kernel no weight.
  /// These may be on the meta device, and are then taken for such on facts.device.
  static void check(std::shared_ptr<const Kernel> kernel, LayerFacts facts);

  /// In the place of a kernel that does not fit its layer's weights any more (they have another dtype, or are on another device):
  /// its calls run nothing, and say when the weights have changed again.
  static std::shared_ptr<const BoundKernel> unfit(std::shared_ptr<const Kernel> kernel, LayerFacts facts);

  /// One that shows the kernel the weights when it is first called, by answering `stale` to that call: for a layer whose work a
  /// kernel above it does, so that weights are not packed for nobody. Throws what the constructor throws before it prepares.
  static std::shared_ptr<const BoundKernel> waiting(std::shared_ptr<const Kernel> kernel, LayerFacts facts);
  bool waits() const { return waits_; }

  /// Runs forward, and puts a node of torch's autograd on the outputs if an input or weight needs a gradient.
  /// `inputs`: the contract's inputs that are no weights, in its order; trailing optional ones may be left
  /// away. `outputs` are allocated here. Throws Error(invalid_argument) for inputs that break the contract,
  /// and Error(plugin) if an inout argument may be half written or the device is lost.
  [[gnu::always_inline]] Outcome call(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                      size_t output_count) const;

  /// Whether a call of these inputs, none of which needs a gradient, would run the entry; plans it, so that the call itself does
  /// not. Throws Error(invalid_argument) as call() does.
  bool plan_ahead(std::initializer_list<TensorArg> inputs) const;
  bool gradient_needed(std::initializer_list<TensorArg> inputs) const;

  const Kernel& kernel() const { return instance_->kernel; }
  const std::shared_ptr<const Kernel>& held_kernel() const { return instance_->held; }
  /// Whether it is what binding `kernel` with `facts` would make again; without them, as far as the kernel
  /// and the weights' data go.
  bool is(const Kernel& kernel, const LayerFacts& facts) const;
  bool is(const Kernel& kernel) const;
  const LayerFacts& facts() const { return instance_->facts; }
  bool deterministic() const { return deterministic_; }
  /// What the last failed call on this thread said.
  static const std::string& failure();

 private:
  struct Weight {
    size_t position;
    at::Tensor tensor;
    graft_tensor view;
    int64_t version;
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;  // weak: no other gets its address meanwhile, but its memory is not kept
    const void* data;                                   // where the storage begins, and the tensor in it, as elements
    int64_t offset;
  };
  using SavedOutputs = std::array<at::Tensor, kMaxArguments>;  // the contract's SAVED ones, by position
  struct Unprepared {};  // constructors' tags
  struct Unfit {};
  BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts, Unprepared);
  BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts, Unfit);
  [[gnu::noinline]] bool something_needs_gradient(std::initializer_list<TensorArg> inputs) const;
  void watch_weights();
  void check_data() const;
  void prepare();
  [[gnu::always_inline]] bool weights_changed() const;
  [[gnu::always_inline]] Outcome call_itself(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count) const;
  /// Null: `why` the entry does not get the call. `unkept`: holds the plan if plans_ does not.
  const CallPlan* plan_anew(std::initializer_list<TensorArg> inputs, bool for_backward, std::unique_ptr<CallPlan>& unkept, Outcome& why) const;
  /// A call of other shapes than the last one's, or one that is not plain.
  [[gnu::noinline]] Outcome call_otherwise(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                           size_t output_count, bool for_backward) const;
  /// A call that the entry may not get, whose inputs may be copied first, or that may become a step of
  /// torch's graph.
  Outcome call_as_planned(const CallPlan& plan, std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                          size_t output_count) const;
  /// A call that is more or less than one of the entry: of the contract's operator, of a fusion, or of a kernel that waits.
  [[gnu::noinline]] Outcome call_specially(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                           size_t output_count) const;
  /// The call as a call of the contract's operator.
  Outcome call_through_operator(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count) const;
  /// The call without its autograd, of inputs that are copied where the plan says so; `saved` may be null if the plan has none.
  Outcome run_in_frame(const CallPlan& plan, const TensorArg* inputs, at::Tensor* outputs,
                       at::Tensor* saved) const;
  template <class Frame>
  [[gnu::always_inline]] Outcome run(const CallPlan& plan, Frame& frame, at::Tensor* outputs,
                                     at::Tensor* saved) const;
  [[gnu::always_inline]] Outcome forward(const graft_call* call, const graft_value* arguments) const;
  [[gnu::noinline]] Outcome forward_with_more(size_t workspace, const graft_value* arguments) const;
  /// What a status other than GRAFT_OK means for the call.
  [[gnu::noinline]] Outcome failed(graft_status status) const;
  [[noreturn]] void throw_too_many_outputs() const;
  [[noreturn]] void throw_misaligned(const graft_value* arguments) const;
  /// What the entry has to say to a call of these shapes: whether it serves it, and with how much workspace. False: it failed.
  bool ask_entry(CallPlan& plan) const;
  graft_status workspace_size(uint32_t pass, const graft_value* arguments, size_t* bytes) const;
  void record(std::initializer_list<TensorArg> inputs, const at::Tensor* outputs, const SavedOutputs& saved, size_t backward_workspace) const;

  std::shared_ptr<KernelInstance> instance_;
  std::vector<Weight> weights_;
  std::vector<graft_value> template_;  // a call's arguments with the weights filled in
  ContractBinding binding_;            // the dimensions that the weights fix
  bool differentiable_ = false;        // has a backward that serves this contract
  bool prepares_ = false;              // and so is made anew when a weight changes
  decltype(graft_entry::forward) forward_ = nullptr;  // the entry's: one load on the way of a call instead of three
  CpuCall cpu_call_ = {};              // without its workspace
  bool through_operator_ = false;      // calls are calls of the contract's operator, which has instances of its own
  bool unfit_ = false;
  bool waits_ = false;                 // not prepared
  bool deterministic_ = false;         // as its entry says
  bool special_ = false;               // through_operator_, waits_, or of a fusion: one question on the way of a call
  bool inout_ = false;                 // the contract has an argument that is written in place
  bool off_cpu_ = false;               // on a device with streams
  mutable CallPlans plans_;
};

// The way of each call, here so that it is one function with the slot's. What is rare has functions of its
// own, whose frames would cost each call.
inline BoundKernel::Outcome BoundKernel::call(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                              size_t output_count) const {
  if (special_) [[unlikely]]
    return call_specially(inputs, outputs, output_count);
  return call_itself(inputs, outputs, output_count);
}

inline BoundKernel::Outcome BoundKernel::call_itself(std::initializer_list<TensorArg> inputs,
                                                     at::Tensor* outputs, size_t output_count) const {
  if (weights_changed()) return Outcome::stale;
  const bool for_backward = gradient_needed(inputs);
  const CallPlan* plan = plans_.last();
  OwnFrame* frame = plan != nullptr ? plan->own_frame.get() : nullptr;
  if (frame != nullptr && !for_backward && frame->free() && inputs.size() == plan->input_count &&
      output_count >= plan->returned) [[likely]] {
    const OwnFrame::Use use(*frame);
    if (frame->take(*plan, inputs.begin())) [[likely]]
      return run(*plan, *frame, outputs, nullptr);
  }
  return call_otherwise(inputs, outputs, output_count, for_backward);
}

inline bool BoundKernel::weights_changed() const {
  // Who has no prepare() reads new values through the old pointer: an optimizer's step needs no new instance.
  for (const Weight& weight : weights_) {
    const c10::TensorImpl& impl = *weight.tensor.unsafeGetTensorImpl();
    const c10::StorageImpl* storage = impl.unsafe_storage().unsafeGetStorageImpl();
    if (storage != weight.storage._unsafe_get_target() || storage->data() != weight.data ||
        impl.storage_offset_default() != weight.offset)
      return true;
    if (prepares_ && version_of(weight.tensor) != weight.version) return true;
  }
  return false;
}

inline bool BoundKernel::gradient_needed(std::initializer_list<TensorArg> inputs) const {
  return gradients_are_recorded() && something_needs_gradient(inputs);
}

template <class Frame>
inline BoundKernel::Outcome BoundKernel::run(const CallPlan& plan, Frame& frame, at::Tensor* outputs,
                                             at::Tensor* saved) const {
  for (const CallPlan::Output& output : plan.outputs) {
    at::Tensor& made = output.saved ? saved[output.position] : *outputs++;
    made = allocate({output.sizes.data(), size_t(output.view.ndim)}, output.dtype, facts().device);
    frame.pass(output.position, output.view, made.mutable_data_ptr());
  }
  if ((plan.workspace != 0) | off_cpu_) return forward_with_more(plan.workspace, frame.arguments());
  return forward(&cpu_call_.call, frame.arguments());
}

inline BoundKernel::Outcome BoundKernel::forward(const graft_call* call, const graft_value* arguments) const {
  const graft_status status = call_plugin([&]() __attribute__((always_inline)) {
    return forward_(instance_->made, call, arguments);
  });
  return status == GRAFT_OK ? Outcome::done : failed(status);
}

}  // namespace graft
