// BoundKernel: one entry with its instance for one layer. Immutable, so that any thread may call it.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "graft/kernel_slot.h"
#include "kernel_instance.h"

namespace graft {

class BoundKernel {
 public:
  enum class Outcome {
    done,         // outputs are filled
    unsupported,  // an answer: the layer's own forward serves this call
    stale,        // a weight has changed or moved since: bind again
    failed,       // failure() says why; outputs are not to be used
  };

  /// Creates and prepares an instance. Throws Error: unsupported if contract, device, dtype or attributes are
  /// not served, plugin if the plugin fails.
  BoundKernel(Kernel kernel, LayerFacts facts);
  BoundKernel(const BoundKernel&) = delete;

  /// The constructor up to prepare: throws what it throws, keeps nothing, and shows the kernel no weight.
  /// These may be on the meta device, and are then taken for such on facts.device.
  static void check(Kernel kernel, LayerFacts facts);

  /// Runs forward, and puts a node of torch's autograd on the outputs if an input or weight needs a gradient.
  /// `inputs`: the contract's inputs that are no weights, in its order; trailing optional ones may be left
  /// away. `outputs` are allocated here. Throws Error(invalid_argument) for inputs that break the contract,
  /// and Error(plugin) if an inout argument may be half written or the device is lost.
  Outcome call(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count) const;

  const Kernel& kernel() const { return instance_->kernel; }
  const LayerFacts& facts() const { return instance_->facts; }
  /// Whether it was shown its weights, and is made anew when one of them changes.
  bool prepares() const { return kernel().entry->prepare != nullptr; }
  /// What the last failed call on this thread said.
  static const std::string& failure();

 private:
  struct Weight {
    size_t position;
    at::Tensor tensor;
    graft_tensor view;
    int64_t version;
  };
  /// What forward leaves for backward.
  struct ForBackward {
    std::array<at::Tensor, kMaxArguments> saved;  // the contract's SAVED outputs, by position
    size_t workspace = 0;                         // bytes that backward needs
  };
  struct Unprepared {};  // a constructor's tag
  BoundKernel(Kernel kernel, LayerFacts facts, Unprepared);
  void prepare();
  bool weights_changed() const;
  bool gradient_needed(std::initializer_list<TensorArg> inputs) const;
  /// The call as a call of the contract's operator.
  Outcome through_operator(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count) const;
  /// The call without its autograd. SAVED outputs are allocated if there is a `for_backward`.
  Outcome forward(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t output_count,
                  ForBackward* for_backward) const;
  graft_status workspace_size(uint32_t pass, const graft_value* arguments, size_t* bytes) const;
  void record(std::initializer_list<TensorArg> inputs, const at::Tensor* outputs,
              const ForBackward& kept) const;

  std::shared_ptr<KernelInstance> instance_;
  std::vector<Weight> weights_;
  std::vector<graft_value> template_;  // a call's arguments with the weights filled in
  ContractBinding binding_;            // the dimensions that the weights fix
  bool differentiable_ = false;        // has a backward that serves this contract
};

}  // namespace graft
