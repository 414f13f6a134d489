// CallPlan: what a call needs that its tensors' shapes decide, worked out once and found again by the next call of the same shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "graft/contract_plan.h"
#include "graft/error.h"
#include "graft/kernel_slot.h"

namespace graft {

/// Made for the metadata of one call's inputs (shapes, strides, dtypes, dispatch keys), and good for every call whose inputs have the
/// same. Immutable once made, so that any thread may read it. Views point into the plan itself and have no data.
struct CallPlan {
  using Sizes = std::array<int64_t, kMaxRank>;
  static constexpr size_t kArgumentsAtOnce = 4;  // a call copies them by so many: a line of the cache
  struct Input {
    size_t number = 0;    // among the call's inputs
    size_t position = 0;  // in the contract
    c10::DispatchKeySet keys = {};
    caffe2::TypeMeta dtype = {};
    int64_t itemsize = 0;      // bytes
    uintptr_t misaligned = 0;  // bits of its address that must be 0
    bool written = false;      // in place
    bool copied = false;       // the contract does not allow its strides: a row-major copy is passed, as `view` has it
    Sizes sizes = {}, strides = {}, copied_strides = {};
    graft_tensor view = {};

    bool describes(const at::Tensor& tensor, c10::Device device) const;
  };
  struct Output {
    size_t position = 0;
    bool saved = false;  // for backward alone
    at::ScalarType dtype = at::kFloat;
    Sizes sizes = {}, strides = {};
    graft_tensor view = {};
  };

  CallPlan() = default;
  CallPlan(const CallPlan&) = delete;

  bool fits(std::initializer_list<TensorArg> call_inputs, bool with_backward) const;

  c10::Device device = c10::kCPU;
  bool for_backward = false;  // SAVED outputs are made
  bool served = true;         // false: the kernel leaves such calls to the layer's own forward
  bool copies = false;        // inputs of other strides than the contract allows
  size_t input_count = 0;     // of the call, absent ones included
  std::vector<Input> inputs = {};    // those that are there, in the call's order
  std::vector<size_t> absent = {};   // the others' numbers
  std::vector<graft_value> arguments = {};  // with the weights filled in; as many as the contract has, rounded up to kArgumentsAtOnce
  std::vector<Output> outputs = {};  // in the contract's order
  size_t returned = 0;               // outputs that the caller gets
  size_t workspace = 0, backward_workspace = 0;  // bytes
};

// Here, and without a call of its own, since it stands on the way of each call.
inline bool CallPlan::fits(std::initializer_list<TensorArg> call_inputs, bool with_backward) const {
  if (with_backward != for_backward || call_inputs.size() != input_count) return false;
  const TensorArg* given = call_inputs.begin();
  for (const Input& input : inputs) {
    const at::Tensor* tensor = given[input.number].get();
    if (tensor == nullptr || !input.describes(*tensor, device)) return false;
  }
  for (const size_t number : absent) {
    if (given[number].get() != nullptr) return false;
  }
  return true;
}

inline bool CallPlan::Input::describes(const at::Tensor& tensor, c10::Device device) const {
  const c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  // The keys come first: they tell tensors apart that have no strides or no storage, or are on a device of another type.
  if (impl.key_set() != keys || impl.dtype() != dtype || (!device.is_cpu() && impl.device() != device)) return false;
  const c10::IntArrayRef its_sizes = impl.sizes();
  if (its_sizes.size() != size_t(view.ndim)) return false;
  const int64_t* its_strides = impl.strides().data();
  int64_t difference = 0;  // one branch for all dimensions
  for (size_t d = 0; d < its_sizes.size(); ++d) difference |= (its_sizes[d] ^ sizes[d]) | (its_strides[d] ^ strides[d]);
  return difference == 0;
}

/// Error(invalid_argument) for a call whose tensors are not as the contract has them.
Error broken_contract(const graft_contract& contract, const std::string& kernel, const std::string& why);

/// A plan for a call of these inputs on `device` as far as the contract says it: what the entry has to say is still to come. `weights`: a call's
/// arguments with the weights filled in, and what these fix. Null: tensors that no kernel is shown (another device, not
/// strided, conjugated). Throws Error(invalid_argument) for inputs that break the contract.
std::unique_ptr<CallPlan> plan_call(const ContractPlan& contract, std::span<const graft_value> weights, ContractBinding binding,
                                    std::initializer_list<TensorArg> inputs, bool for_backward, c10::Device device, at::ScalarType dtype,
                                    const std::string& kernel);

/// The plans of one kernel. Safe for any number of threads; find() takes no lock.
class CallPlans {
 public:
  /// Null if no call of these shapes has been planned.
  [[gnu::always_inline]] const CallPlan* find(std::initializer_list<TensorArg> inputs, bool for_backward) const {
    const CallPlan* last = last_.load(std::memory_order_acquire);
    if (last != nullptr && last->fits(inputs, for_backward)) [[likely]] return last;
    return find_other(inputs, for_backward, last);
  }

  /// Keeps `plan` for later calls, unless there are kMost already: shapes that differ with each call (a growing KV cache) are planned
  /// anew each time, and must not fill the memory. Null: it was not taken.
  const CallPlan* keep(std::unique_ptr<CallPlan>& plan);

 private:
  static constexpr size_t kMost = 8;
  [[gnu::noinline]] const CallPlan* find_other(std::initializer_list<TensorArg> inputs, bool for_backward, const CallPlan* last) const;

  std::array<std::unique_ptr<const CallPlan>, kMost> plans_;  // the first count_ are there, and stay
  std::atomic<size_t> count_ = 0;
  mutable std::atomic<const CallPlan*> last_ = nullptr;  // found last; null: none yet
  std::mutex mutex_;                      // of writers
};

}  // namespace graft
