// Attributes: what is fixed for the life of a kernel's instance, by name, as a host gives it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "graft/abi/contract.h"

namespace graft {

using AttributeValue = std::variant<bool, std::int64_t, double, std::string>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

/// In the contract's order; GRAFT_NONE where one is not given. Strings point into `given`. Throws Error(invalid_argument) about
/// `what` for a name or type that is not the contract's, or one that is required and not there. Any thread.
std::vector<graft_value> attribute_values(const graft_contract& contract, const Attributes& given, const std::string& what);

}  // namespace graft
