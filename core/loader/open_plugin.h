// The steps that run a plugin's code: linking, init, its entries. Shared by the host and graft-probe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graft/plugin.h"

namespace graft {

struct PluginHost;

struct OpenedPlugin {
  const graft_plugin* plugin = nullptr;
  PluginHost* host = nullptr;
  std::vector<const graft_entry*> entries = {};
};

/// Opens the library at `path` (RTLD_LOCAL, RTLD_NOW; never closed), checks its ABI, calls init and asks for
/// the entries; deinit runs at exit. `name` is what the user knows it by. `step` hears what comes next:
/// "link" (constructors run), "abi" (it stays in this process from now on), "init", "entries". Throws Error:
/// unsupported (ABI major), plugin (symbols, missing libraries, init, malformed entries).
OpenedPlugin open_plugin(const std::string& path, const std::string& name,
                         const std::function<void(const char*)>& step = {});

}  // namespace graft
