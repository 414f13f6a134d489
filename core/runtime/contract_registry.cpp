#include "graft/contract.h"

#include <map>
#include <mutex>
#include <shared_mutex>

#include "graft/contracts.h"
#include "graft/error.h"

namespace graft {

struct ContractRegistry::State {
  mutable std::shared_mutex mutex;
  std::map<std::string, ContractPlan, std::less<>> plans;  // a map: plans never move
};

ContractRegistry& ContractRegistry::shared() {
  static auto& registry = *new ContractRegistry;
  return registry;
}

ContractRegistry::ContractRegistry() : state_(std::make_unique<State>()) {
  for (const graft_contract* contract : graft_standard_contracts) add(*contract);
}

const ContractPlan* ContractRegistry::plan(std::string_view name) const {
  std::shared_lock lock(state_->mutex);
  auto it = state_->plans.find(name);
  return it == state_->plans.end() ? nullptr : &it->second;
}

const ContractPlan& ContractRegistry::at(std::string_view name) const {
  if (const ContractPlan* found = plan(name)) return *found;
  throw Error(ErrorCode::not_found, "contract " + std::string(name), "it is neither a standard contract nor a registered one",
              "add your own with ContractRegistry::shared().add(…)");
}

const graft_contract* ContractRegistry::find(std::string_view name) const {
  const ContractPlan* found = plan(name);
  return found ? &found->contract() : nullptr;
}

void ContractRegistry::add(const graft_contract& contract) {
  ContractPlan plan(contract);
  std::unique_lock lock(state_->mutex);
  auto [it, added] = state_->plans.try_emplace(contract.name, std::move(plan));
  if (!added && &it->second.contract() != &contract)
    throw Error(ErrorCode::invalid_argument, "contract " + std::string(contract.name), "the name is taken",
                "contracts never change: give yours the next version or another name");
}

std::vector<std::string> ContractRegistry::names() const {
  std::shared_lock lock(state_->mutex);
  std::vector<std::string> names;
  for (const auto& [name, plan] : state_->plans) names.push_back(name);
  return names;
}

}  // namespace graft
