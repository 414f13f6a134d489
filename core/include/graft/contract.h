// ContractRegistry: the contracts this host knows.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/contract_plan.h"
#include "graft/dtype.h"

namespace graft {

/// The standard contracts of plugin_api, and those that the host adds. Graft's one registry with global
/// state. Any thread.
class ContractRegistry {
 public:
  static ContractRegistry& shared();

  /// By name and version, "RMSNorm/1"; null if unknown. Both live as long as the process.
  const graft_contract* find(std::string_view name) const;
  const ContractPlan* plan(std::string_view name) const;
  /// Throws Error(not_found) if unknown.
  const ContractPlan& at(std::string_view name) const;

  /// Adds a contract, which must live as long as the process. The same one twice is fine.
  /// Throws Error(invalid_argument) for a malformed one, or another of a name that is taken: contracts never
  /// change.
  void add(const graft_contract& contract);

  std::vector<std::string> names() const;  // sorted

 private:
  ContractRegistry();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft
