#include <algorithm>
#include <unordered_map>

#include "slot_state.h"

namespace graft::slot_registry {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_map<const torch::nn::Module*, std::vector<std::weak_ptr<SlotState>>> slots;
};

// Never destroyed: modules with static storage may go after it would.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

}  // namespace

void add(const std::shared_ptr<SlotState>& state) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.slots[state->owner()].push_back(state);
}

void remove(const SlotState* state) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.slots.find(state->owner());
  if (found == r.slots.end()) return;
  std::erase_if(found->second, [&](const std::weak_ptr<SlotState>& slot) {
    const auto alive = slot.lock();
    return alive == nullptr || alive.get() == state;
  });
  if (found->second.empty()) r.slots.erase(found);
}

Slots of(const torch::nn::Module* owner) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  Slots alive;
  if (const auto found = r.slots.find(owner); found != r.slots.end()) {
    for (const auto& slot : found->second) {
      if (auto state = slot.lock()) alive.push_back(std::move(state));
    }
  }
  return alive;
}

}  // namespace graft::slot_registry
