#include "graft/loaded_plugin.h"

#include <set>
#include <utility>

#include "graft/error.h"
#include "graft/host_platform.h"
#include "graft/plugin_call.h"
#include "plugin_host.h"

namespace graft {
namespace {

std::string names_of(const std::vector<const graft_entry*>& entries) {
  std::string text;
  std::set<std::string> names;  // one of several devices or CPU levels may come more than once
  for (const graft_entry* entry : entries)
    if (names.insert(entry->name).second) text += (text.empty() ? "" : ", ") + std::string(entry->name);
  return text;
}

/// The name of all entries that a reference without one may mean. Throws Error(invalid_argument) for several, or none.
std::string_view only_name(const std::vector<const graft_entry*>& entries, const std::string& kernel) {
  std::string_view name;
  for (const graft_entry* entry : entries) {
    if ((entry->flags & GRAFT_ENTRY_QUANTIZES) != 0) continue;
    if (!name.empty() && entry->name != name)
      throw Error(ErrorCode::invalid_argument, "kernel " + kernel, "the reference names no entry",
                  "append one of them: " + names_of(entries));
    name = entry->name;
  }
  if (!name.empty()) return name;
  throw Error(ErrorCode::invalid_argument, "kernel " + kernel,
              "the reference names no entry, and one that quantises weights is never chosen by itself",
              "append one of them: " + names_of(entries));
}

}  // namespace

LoadedPlugin::LoadedPlugin(std::string digest, const graft_plugin* plugin, const PluginHost& host,
                           std::vector<const graft_entry*> entries)
    : digest_(std::move(digest)), plugin_(plugin), host_(host), entries_(std::move(entries)) {}

const std::string& LoadedPlugin::name() const {
  return host_.name;
}

std::size_t LoadedPlugin::allocated_bytes() const {
  return host_.allocated;
}

const graft_entry& LoadedPlugin::entry(std::string_view wanted, int device_type) const {
  std::string_view name = wanted;
  if (name.empty()) name = only_name(entries_, host_.name);
  bool found = false;
  std::string why = "is not for this device";
  for (const graft_entry* entry : entries_) {
    if (entry->name != name) continue;
    found = true;
    if (entry->device_type != device_type) continue;
    std::string missing = HostPlatform::detect().missing_cpu_feature(entry->cpu_features);
    if (missing.empty()) return *entry;
    why = "needs the CPU feature " + missing + ", which this CPU lacks";
  }
  std::string label = "kernel " + host_.name + ":" + std::string(name);
  if (!found)
    throw Error(ErrorCode::not_found, label, "the plugin has no such entry", "it has: " + names_of(entries_));
  throw Error(ErrorCode::unsupported, label, why, "use a variant or an entry that serves this machine");
}

const void* LoadedPlugin::extension(const char* id) const {
  if (!plugin_->extension) return nullptr;
  const void* found = nullptr;
  graft_status status = call_plugin([&] {
    found = plugin_->extension(id);
    return graft_status{GRAFT_OK};
  });
  if (status != GRAFT_OK) throw_plugin_error(status, host_.name, "extension");
  return found;
}

bool fulfils(const graft_entry& entry, std::string_view contract) {
  for (std::uint32_t i = 0; i < entry.contract_count; ++i)
    if (contract == entry.contracts[i]) return true;
  return false;
}

std::string contract_names(const graft_entry& entry) {
  std::string names;
  for (std::uint32_t i = 0; i < entry.contract_count; ++i)
    names += (i ? ", " : "") + std::string(entry.contracts[i]);
  return names;
}

}  // namespace graft
