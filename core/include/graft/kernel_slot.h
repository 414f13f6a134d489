// KernelSlot: the place in a layer where a kernel can be put.
//
//   struct MyNorm : torch::nn::Module {
//     torch::Tensor weight = register_parameter("weight", torch::ones({576}));
//     KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-5}}});
//     torch::Tensor forward(torch::Tensor x) { return slot({x}, [&] { return own_forward(x); }); }
//   };
//
// forward() is not virtual in torch::nn::Module and has no hooks: so the layer holds a slot and its forward asks it. An
// unbound slot costs one atomic load.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "graft/attributes.h"

namespace torch::nn {
class Module;
}

namespace graft {

class SlotState;  // core/binding/slot_state.h

/// Who serves a call that came to a slot.
enum class CallTurn : uint8_t {
  kernel,     // it has run
  own,        // own() is to run
  timed_own,  // likewise, while an OwnTimer lives: KernelPolicy::fastest
};

/// Takes the time of a CallTurn::timed_own as it goes.
class OwnTimer {
 public:
  explicit OwnTimer(bool timed) : timed_(timed) {}
  ~OwnTimer() {
    if (timed_) stop();
  }
  OwnTimer(const OwnTimer&) = delete;

 private:
  static void stop() noexcept;
  const bool timed_;
};

/// A tensor handed to a slot without touching its reference count. Default-made: an optional input that is absent.
class TensorArg {
 public:
  TensorArg() = default;
  TensorArg(const at::Tensor& tensor) : tensor_(tensor.defined() ? &tensor : nullptr) {}
  const at::Tensor* get() const { return tensor_; }

 private:
  const at::Tensor* tensor_ = nullptr;
};

/// Where a weight is found: a parameter's path below the module ("gate_proj.weight"), or a tensor that the module shares
/// with another one.
using WeightSource = std::variant<std::string, at::Tensor>;

struct KernelLayerOptions {
  /// The name that mappings use; default: the contract's without its version ("RMSNorm").
  std::string layer = {};
  /// The contract's attributes by name, fixed for the layer's life.
  Attributes attributes = {};
  /// The contract's weights, as (argument, parameter); default: the module's parameter of the same name.
  std::vector<std::pair<std::string, WeightSource>> weights = {};
  /// Modules below this one whose work a kernel in this slot does as well: {"gate_proj", "up_proj"}. For the report.
  std::vector<std::string> covers = {};
  /// Whether these never run while a kernel is bound here. If not, the report says nothing of it, and those that pack weights do so
  /// once a call comes to them.
  bool covers_all_calls = true;
  /// Whether own() does the kernel's work. If not, it only says that there is none, and nothing times it: see KernelPolicy.
  bool has_own_forward = true;
};

/// A member of the module that registered it; it must not outlive the module. Calls are thread-safe, also while another
/// thread binds. A copy (of a module that is cloned) is an unbound slot of the copy's own module.
class KernelSlot {
 public:
  explicit KernelSlot(std::shared_ptr<SlotState> state);
  ~KernelSlot();
  KernelSlot(const KernelSlot& other);
  KernelSlot(KernelSlot&& other) noexcept;
  /// A slot stays its module's own: what is assigned to a module (Cloneable does so) brings its parameters alone.
  KernelSlot& operator=(const KernelSlot&) { return *this; }

  /// Runs the bound kernel on the contract's inputs that are not weights, in the contract's order, or else `own()`. The
  /// result is own()'s type: a Tensor, a std::tuple of as many tensors as the contract has outputs (without saved
  /// ones), or void for a contract whose results are inout. Where a gradient is needed, a kernel with backward is a step of
  /// torch's graph like any other, and one without leaves the call to own(). Throws Error(plugin) if the kernel fails and
  /// use_fallback is false.
  template <class Own>
  auto operator()(std::initializer_list<TensorArg> inputs, Own&& own) const {
    using Result = decltype(own());
    if (!active_->load(std::memory_order_acquire)) return own();
    std::array<at::Tensor, output_count<Result>()> outputs;
    if (const CallTurn turn = run(inputs, outputs.data(), outputs.size()); turn != CallTurn::kernel) {
      const OwnTimer timer(turn == CallTurn::timed_own);
      return own();
    }
    if constexpr (std::is_same_v<Result, at::Tensor>) {
      return std::move(outputs[0]);
    } else if constexpr (!std::is_void_v<Result>) {
      return std::apply([](auto&... tensors) { return Result(std::move(tensors)...); }, outputs);
    }
  }

  /// Whether calls come to a kernel now: for a layer that would have to bring its inputs into the kernel's form first. Any thread.
  bool bound() const { return active_->load(std::memory_order_acquire) != nullptr; }

  SlotState& state() const { return *state_; }

 private:
  template <class Result>
  static constexpr size_t output_count() {
    if constexpr (std::is_void_v<Result>) {
      return 0;
    } else if constexpr (std::is_same_v<Result, at::Tensor>) {
      return 1;
    } else {
      return std::tuple_size_v<Result>;
    }
  }
  CallTurn run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) const;

  std::shared_ptr<SlotState> state_;
  const std::atomic<const void*>* active_;  // the binding in force, null if none
};

/// Declares a layer of `module` that kernels can be bound onto. Throws Error(not_found) for a contract that is neither
/// standard nor registered, Error(invalid_argument) for an attribute that the contract does not have.
KernelSlot register_kernel_layer(torch::nn::Module& module, const std::string& contract,
                                 KernelLayerOptions options = {});

}  // namespace graft
