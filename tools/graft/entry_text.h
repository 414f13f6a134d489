// An entry as `graft info` and `graft check` show it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "graft/plugin.h"

namespace graft {

/// {name, contract, contracts, devices, modes, dtypes, flags, capabilities, cpu_features}
nlohmann::ordered_json describe_entry(const graft_entry& entry);

/// One line, from what describe_entry() gave.
void print_entry(const nlohmann::ordered_json& entry);

/// "RMSNorm/1, RMSNorm/2" of a list of strings.
std::string joined(const nlohmann::ordered_json& list);

}  // namespace graft
