// LoadedPlugin: a plugin in this process, checked and initialised.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "graft/plugin.h"

namespace graft {

struct PluginHost;

/// Lives until the process ends: plugins are never unloaded. All functions may be called from any thread.
class LoadedPlugin {
 public:
  /// Made by the loader (load_plugin) alone.
  LoadedPlugin(std::string digest, const graft_plugin* plugin, const PluginHost& host,
               std::vector<const graft_entry*> entries);

  const std::string& name() const;                       // "graft-kernels/norm", or the file's path
  const std::string& digest() const { return digest_; }  // "sha256:<hex>" of the library's bytes
  int abi_minor() const { return plugin_->abi_minor; }

  /// Valid: names and contracts are non-empty, create and forward are there, dtypes are listed, and every
  /// field of ABI 1.0 is covered by struct_size; fields appended later need GRAFT_HAS. In the plugin's order.
  const std::vector<const graft_entry*>& entries() const { return entries_; }

  /// The first entry of that name for the device whose CPU features this host has ("": any name, if there is
  /// only one beside entries that quantise weights). A plugin may so list an AVX2 entry before a scalar one of
  /// the same name. Throws Error: not_found (names the entries there are), invalid_argument (no name, and
  /// several entries or none that may be chosen), unsupported (another device, or a CPU feature is missing).
  const graft_entry& entry(std::string_view name, int device_type) const;

  /// The plugin's extension by id, or null.
  const void* extension(const char* id) const;

  /// Bytes that the plugin holds of the host's allocator (graft.allocator/1): its packed weights.
  std::size_t allocated_bytes() const;

 private:
  std::string digest_;
  const graft_plugin* plugin_;
  const PluginHost& host_;
  std::vector<const graft_entry*> entries_;
};

/// True once the process is ending and deinit() of the plugins has run: call nothing of a plugin any more,
/// and leave its instances undestroyed. Static objects that hold instances ask before they call destroy().
bool plugins_are_gone();

/// Whether the entry fulfils the contract of that name ("RMSNorm/1").
bool fulfils(const graft_entry& entry, std::string_view contract);

/// "RMSNorm/1, RMSNorm/2": the contracts of an entry, for messages.
std::string contract_names(const graft_entry& entry);

}  // namespace graft
