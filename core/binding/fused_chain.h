// FusedChain: the layers of one block that one kernel does as a whole, and which tensors are that kernel's.
//
// The kernel stands in the first member's slot. Each further member is then called with what the kernel returned, and has nothing left
// to do: it returns that very tensor as it is. Any other tensor meets its own forward, so a call that the kernel left to the layers,
// or a model that goes another way, stays right by itself.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernel_instance.h"

namespace graft {

class SlotState;

/// Any thread, at once. Kept as long as a slot was ever bound with it, since another thread may be between two members.
class FusedChain {
 public:
  struct Member {
    std::string module;  // its path: "model.layers.0.mlp"
    std::weak_ptr<const SlotState> slot;  // gone with its module
  };

  /// By the first of the entry's contracts that fits the members. Throws Error(unsupported) if none does.
  FusedChain(std::vector<Member> members, const graft_entry& entry);

  /// The kernel's: weights and attributes of the members. Throws Error: not_found for a weight or a module that is not there (any
  /// more), unsupported for members on different devices.
  LayerFacts facts(std::shared_ptr<FusedChain> self, c10::Device device, at::ScalarType fallback_dtype) const;

  /// `output` is the kernel's, on this thread.
  void made(const at::Tensor& output);

  /// Whether `input` is the kernel's, so that a further member returns it as it is.
  bool passes(const at::Tensor& input);

  /// For a further member that meets another tensor. Throws Error(unsupported) if what the kernel made on this thread is still on its
  /// way to the member: then the model changes it between the two, and the member would do its work a second time.
  void check_nothing_waits(const SlotState& member);

  /// The kernel failed too often, or does not serve the weights any more; empty: it does again.
  void give_up(std::string why);
  /// Empty while the kernel is in force.
  std::string given_up() const;

 private:
  struct Made {
    c10::weak_intrusive_ptr<c10::TensorImpl> tensor;  // while it is held no other tensor has that address
    std::thread::id thread;
    bool taken = false;
  };

  const std::vector<Member> members_;
  const ContractPlan* plan_ = nullptr;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<Made> made_;
  std::string given_up_;
};

}  // namespace graft
