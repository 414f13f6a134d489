// What a plugin says of itself, checked before it is believed.
#pragma once

#include <string>
#include <vector>

#include "graft/plugin.h"

namespace graft {

/// Throws Error(unsupported) for another ABI major, Error(plugin) for a struct too small for ABI 1.0 or
/// without its functions. Calls nothing of the plugin.
void check_abi(const graft_plugin& plugin, const std::string& name);

/// Asks for the entries, once. Throws Error(plugin) naming the entry and the field.
std::vector<const graft_entry*> check_entries(const graft_plugin& plugin, const std::string& name);

}  // namespace graft
