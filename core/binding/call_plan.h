// CallPlan: what a call needs that its tensors' shapes decide, worked out once and found again by the next call of the same shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "arguments.h"
#include "graft/contract_plan.h"
#include "graft/error.h"
#include "graft/kernel_slot.h"
#include "tensor_view.h"

namespace graft {

class OwnFrame;

/// Made for the metadata of one call's inputs (shapes, strides, dtypes, dispatch keys), and good for every call whose inputs have the
/// same. Immutable once made, so that any thread may read it. Views point into the plan itself and have no data.
struct CallPlan {
  using Sizes = std::array<int64_t, kMaxRank>;
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

    /// Whether the tensor is as planned, on whichever device of its type.
    bool describes(const at::Tensor& tensor) const;
  };
  struct Output {
    size_t position = 0;
    bool saved = false;  // for backward alone
    at::ScalarType dtype = at::kFloat;
    Sizes sizes = {}, strides = {};
    graft_tensor view = {};
  };

  CallPlan();
  CallPlan(const CallPlan&) = delete;
  ~CallPlan();

  bool fits(std::initializer_list<TensorArg> call_inputs, bool with_backward) const;

  c10::Device device = c10::kCPU;
  bool for_backward = false;  // SAVED outputs are made
  bool served = true;         // false: the kernel leaves such calls to the layer's own forward
  bool copies = false;        // inputs of other strides than the contract allows
  size_t input_count = 0;     // of the call, absent ones included
  std::vector<Input> inputs = {};    // those that are there, in the call's order
  std::vector<size_t> absent = {};   // the others' numbers
  std::vector<graft_value> arguments = {};  // with the weights filled in
  std::vector<Output> outputs = {};  // in the contract's order
  size_t returned = 0;               // outputs that the caller gets
  size_t workspace = 0, backward_workspace = 0;  // bytes
  std::unique_ptr<OwnFrame> own_frame = nullptr;  // if that serves the plan
};

namespace detail {

// Its address tells this thread from all others that live. Initial-exec: no function call.
extern constinit thread_local char thread_mark __attribute__((tls_model("initial-exec")));
}  // namespace detail

/// The arguments of a planned call, laid out once: what is left to a call is where its tensors' data lie. One
/// thread's, the plan's maker: others lay theirs out in a CallFrame.
class OwnFrame {
 public:
  explicit OwnFrame(const CallPlan& plan);
  /// Whether a call of the plan is one of the entry on the CPU and nothing more, of tensors of no class of
  /// their own.
  static bool serves(const CallPlan& plan);
  OwnFrame(const OwnFrame&) = delete;

  /// Whether it is this thread's, and no call of it is under way: what a call allocates may call back.
  bool free() const { return owner_ == &detail::thread_mark && !in_call_; }
  /// While one lives, a call is under way.
  class Use {
   public:
    explicit Use(OwnFrame& frame) : frame_(frame) { frame_.in_call_ = true; }
    ~Use() { frame_.in_call_ = false; }
    Use(const Use&) = delete;

   private:
    OwnFrame& frame_;
  };

  /// Takes the data of a call's inputs. False: they are not as planned, or not aligned.
  bool take(const CallPlan& plan, const TensorArg* inputs);
  void pass(size_t, const graft_tensor&, void* data) { next_++->data = data; }
  const graft_value* arguments() const { return arguments_.data(); }

 private:
  static void* storage_for_writing(const c10::TensorImpl& impl);

  const void* const owner_ = &detail::thread_mark;
  bool in_call_ = false;
  std::vector<graft_value> arguments_;
  std::vector<graft_tensor> views_;  // of the inputs, then of the outputs
  graft_tensor* next_ = nullptr;     // the view of the tensor that comes next
};

/// The same for one call of any thread.
class CallFrame {
 public:
  explicit CallFrame(const CallPlan& plan) {
    std::copy(plan.arguments.begin(), plan.arguments.end(), arguments_.begin());
  }
  CallFrame(const CallFrame&) = delete;

  void pass(size_t position, const graft_tensor& planned, void* data) {
    *next_ = planned;
    next_->data = data;
    arguments_[position] = as_value(next_++);
  }
  const graft_value* arguments() const { return arguments_.data(); }

 private:
  std::array<graft_value, kMaxArguments> arguments_;
  std::array<graft_tensor, kMaxArguments> views_;
  graft_tensor* next_ = views_.data();
};

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
  /// The one found last; null: none yet.
  const CallPlan* last() const { return last_.load(std::memory_order_acquire); }
  /// Null if no call of these shapes has been planned.
  const CallPlan* find(std::initializer_list<TensorArg> inputs, bool for_backward) const;

  /// Keeps `plan` for later calls, unless there are kMost already: shapes that differ with each call (a growing KV cache) are planned
  /// anew each time, and must not fill the memory. Null: it was not taken.
  const CallPlan* keep(std::unique_ptr<CallPlan>& plan);

 private:
  static constexpr size_t kMost = 8;
  std::array<std::unique_ptr<const CallPlan>, kMost> plans_;  // the first count_ are there, and stay
  std::atomic<size_t> count_ = 0;
  mutable std::atomic<const CallPlan*> last_ = nullptr;
  std::mutex mutex_;                      // of writers
};

}  // namespace graft
