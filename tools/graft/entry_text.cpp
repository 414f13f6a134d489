#include "entry_text.h"

#include <fmt/format.h>

#include "graft/dtype.h"
#include "graft/variant.h"
#include "terminal.h"

namespace graft {

using nlohmann::ordered_json;

namespace {

std::string device_name(std::int32_t type) {
  for (const char* kind : {"cpu", "cuda", "rocm", "metal", "xpu"})
    if (device_type(kind) == type) return kind;
  return "device " + std::to_string(type);
}

/// "8.0 to 9.0", "9.0 and newer"; empty: any.
std::string capabilities(const graft_entry& entry) {
  auto text = [](int number) { return fmt::format("{}.{}", number / 10, number % 10); };
  if (entry.capability_min == 0 && entry.capability_max == 0) return {};
  if (entry.capability_max == 0 || entry.capability_max >= 999) return text(entry.capability_min) + " and newer";
  return text(entry.capability_min) + " to " + text(entry.capability_max);
}

}  // namespace

ordered_json describe_entry(const graft_entry& entry) {
  ordered_json contracts = ordered_json::array(), modes = {"inference"}, flags = ordered_json::array();
  for (std::uint32_t i = 0; i < entry.contract_count; ++i) contracts.push_back(entry.contracts[i]);
  if (entry.flags & GRAFT_ENTRY_HAS_BACKWARD) modes.push_back("training");
  if (entry.flags & GRAFT_ENTRY_COMPILE_SAFE) modes.push_back("torch_compile");
  if (entry.flags & GRAFT_ENTRY_GRAPH_SAFE) flags.push_back("graph_safe");
  if (entry.flags & GRAFT_ENTRY_DETERMINISTIC) flags.push_back("deterministic");
  if (entry.flags & GRAFT_ENTRY_PREPACKS) flags.push_back("prepacks");
  if (entry.flags & GRAFT_ENTRY_QUANTIZES) flags.push_back("quantizes");
  ordered_json dtypes = ordered_json::array();
  for (std::uint32_t i = 0; i < entry.dtype_count; ++i) dtypes.push_back(dtype_name(entry.dtypes[i]));
  return {{"name", entry.name},
          {"contract", contracts.front()},
          {"contracts", contracts},
          {"devices", {device_name(entry.device_type)}},
          {"modes", modes},
          {"dtypes", dtypes},
          {"flags", flags},
          {"capabilities", capabilities(entry)},
          {"cpu_features", entry.cpu_features ? entry.cpu_features : ""}};
}

std::string joined(const ordered_json& list) {
  return printable(fmt::format("{}", fmt::join(list.get<std::vector<std::string>>(), ", ")));
}

void print_entry(const ordered_json& entry) {
  auto text = [&](const char* key) { return printable(entry[key].get<std::string>()); };
  fmt::print("    {:<20} {:<18} {}  {}  {}{}{}\n", text("name"), joined(entry["contracts"]), joined(entry["devices"]), joined(entry["modes"]),
             joined(entry["dtypes"]), text("capabilities").empty() ? "" : "  capability " + text("capabilities"),
             text("cpu_features").empty() ? "" : "  needs " + text("cpu_features"));
}

}  // namespace graft
