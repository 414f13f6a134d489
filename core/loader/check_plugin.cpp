#include "check_plugin.h"

#include <cstdint>

#include "graft/error.h"
#include "graft/plugin_call.h"

namespace graft {
namespace {

constexpr std::uint32_t kMaxEntries = 4096;
constexpr std::uint32_t kMaxContracts = 64, kMaxDtypes = 64;

// The sizes at ABI 1.0. Later minors append; these numbers stay.
constexpr std::size_t kPluginSize = offsetof(graft_plugin, extension) + sizeof(graft_plugin::extension);
constexpr std::size_t kEntrySize = offsetof(graft_entry, backward) + sizeof(graft_entry::backward);

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::plugin, "plugin " + name, why, "build it against Graft's plugin_api");
}

/// Empty if the entry is sound.
std::string why_malformed(const graft_entry* entry) {
  if (!entry) return "is null";
  if (entry->struct_size < kEntrySize)
    return "has struct_size " + std::to_string(entry->struct_size) + "; ABI 1.0 needs " +
           std::to_string(kEntrySize);
  if (!entry->name || !*entry->name) return "has no name";
  if (!entry->contracts || entry->contract_count == 0) return "fulfils no contract";
  if (entry->contract_count > kMaxContracts) return "lists more than 64 contracts";
  for (std::uint32_t i = 0; i < entry->contract_count; ++i)
    if (!entry->contracts[i] || !*entry->contracts[i]) return "has an empty contract name";
  if (!entry->dtypes || entry->dtype_count == 0) return "lists no dtype";
  if (entry->dtype_count > kMaxDtypes) return "lists more than 64 dtypes";
  if (!entry->create) return "has no create";
  if (!entry->forward) return "has no forward";
  if ((entry->flags & GRAFT_ENTRY_HAS_BACKWARD) && !entry->backward)
    return "says HAS_BACKWARD without a backward";
  if (entry->capability_min > entry->capability_max)
    return "has a capability range that ends before it begins";
  return {};
}

std::string label(const graft_entry* entry, std::uint32_t index) {
  bool named = entry && entry->struct_size >= kEntrySize && entry->name && *entry->name;
  return "entry " + (named ? std::string(entry->name) : std::to_string(index));
}

}  // namespace

void check_abi(const graft_plugin& plugin, const std::string& name) {
  // The first three fields are those of every ABI.
  if (plugin.struct_size < offsetof(graft_plugin, abi_minor) + sizeof(plugin.abi_minor))
    refuse(name, "its graft_plugin_entry has struct_size " + std::to_string(plugin.struct_size));
  if (plugin.abi_major != GRAFT_ABI_MAJOR)
    throw Error(ErrorCode::unsupported, "plugin " + name,
                "is built for plugin ABI " + std::to_string(plugin.abi_major) + "; this Graft has " +
                    std::to_string(GRAFT_ABI_MAJOR),
                "get its build for this Graft, or the Graft that fits it");
  if (plugin.struct_size < kPluginSize)
    refuse(name, "its graft_plugin_entry has struct_size " + std::to_string(plugin.struct_size) +
                     "; ABI 1.0 needs " + std::to_string(kPluginSize));
  if (!plugin.entry_count || !plugin.entry_at) refuse(name, "has no entry_count or entry_at");
}

std::vector<const graft_entry*> check_entries(const graft_plugin& plugin, const std::string& name) {
  std::uint32_t count = 0;
  graft_status status = call_plugin([&] {
    count = plugin.entry_count();
    return graft_status{GRAFT_OK};
  });
  if (status != GRAFT_OK) throw_plugin_error(status, name, "entry_count");
  if (count == 0) refuse(name, "has no entries");
  if (count > kMaxEntries) refuse(name, "says that it has " + std::to_string(count) + " entries");

  std::vector<const graft_entry*> entries(count);
  status = call_plugin([&] {
    for (std::uint32_t i = 0; i < count; ++i) entries[i] = plugin.entry_at(i);
    return graft_status{GRAFT_OK};
  });
  if (status != GRAFT_OK) throw_plugin_error(status, name, "entry_at");
  for (std::uint32_t i = 0; i < entries.size(); ++i)
    if (std::string why = why_malformed(entries[i]); !why.empty())
      refuse(name, label(entries[i], i) + " " + why);
  return entries;
}

}  // namespace graft
