// LoadedPlugin: a plugin in this process, checked and initialised.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/plugin.h"

namespace graft {

/// Lives until the process ends: plugins are never unloaded. All functions may be called from any thread.
class LoadedPlugin {
 public:
  virtual ~LoadedPlugin() = default;

  const std::string& name() const { return name_; }      // "graft-kernels/norm", or the file's path
  const std::string& digest() const { return digest_; }  // "sha256:<hex>" of the library's bytes
  int abi_minor() const { return plugin_->abi_minor; }

  /// Valid: names and contracts are non-empty, create and forward are there, dtypes are listed, and every
  /// field of ABI 1.0 is covered by struct_size. In the plugin's order.
  const std::vector<const graft_entry*>& entries() const { return entries_; }

  /// The first entry of that name for the device whose CPU features this host has ("": any name, if there is
  /// only one). A plugin may so list an AVX2 entry before a scalar one of the same name. Throws Error:
  /// not_found (names the entries there are), unsupported (names the missing feature).
  const graft_entry& entry(std::string_view name, int device_type) const;

  /// The plugin's extension by id, or null.
  const void* extension(const char* id) const;

 protected:
  LoadedPlugin() = default;
  std::string name_, digest_;
  const graft_plugin* plugin_ = nullptr;
  std::vector<const graft_entry*> entries_;
};

/// Whether the entry fulfils the contract of that name ("RMSNorm/1").
bool fulfils(const graft_entry& entry, std::string_view contract);

/// "RMSNorm/1, RMSNorm/2": the contracts of an entry, for messages.
std::string contract_names(const graft_entry& entry);

}  // namespace graft
