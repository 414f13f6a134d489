#include "graft/kernel_slot.h"

#include <torch/nn/module.h>

#include "graft/contract.h"
#include "graft/error.h"
#include "slot_state.h"

namespace graft {

KernelSlot::KernelSlot(std::shared_ptr<SlotState> state) : state_(std::move(state)), active_(&state_->active()) {
  slot_registry::add(state_);
}

KernelSlot::KernelSlot(KernelSlot&& other) noexcept : state_(std::move(other.state_)), active_(other.active_) {}

KernelSlot::~KernelSlot() {
  if (state_ != nullptr) slot_registry::remove(state_.get());
}

// The copy of a slot sits in the copy of its module at the same offset as the original in its own: torch's Cloneable
// copies the module object member by member.
KernelSlot::KernelSlot(const KernelSlot& other)
    : KernelSlot(std::make_shared<SlotState>(
          reinterpret_cast<torch::nn::Module*>(
              reinterpret_cast<char*>(this) -
              (reinterpret_cast<const char*>(&other) - reinterpret_cast<const char*>(other.state_->owner()))),
          other.state_->plan(), other.state_->options())) {}

CallTurn KernelSlot::run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) const {
  return state_->run(inputs, outputs, count);
}

KernelSlot register_kernel_layer(torch::nn::Module& module, const std::string& contract, KernelLayerOptions options) {
  return KernelSlot(std::make_shared<SlotState>(&module, ContractRegistry::shared().at(contract), std::move(options)));
}

}  // namespace graft
