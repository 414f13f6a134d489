// graft info: what a reference comes to on this machine.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "graft/error.h"
#include "graft/runtime.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct InfoOptions {
  std::string ref;
  LoadOptions load;
};

std::string device_name(std::int32_t type) {
  for (const char* kind : {"cpu", "cuda", "rocm", "metal", "xpu"})
    if (device_type(kind) == type) return kind;
  return "device " + std::to_string(type);
}

ordered_json describe_entry(const graft_entry& entry) {
  ordered_json contracts = ordered_json::array(), modes = {"inference"};
  for (std::uint32_t i = 0; i < entry.contract_count; ++i) contracts.push_back(entry.contracts[i]);
  if (entry.flags & GRAFT_ENTRY_HAS_BACKWARD) modes.push_back("training");
  if (entry.flags & GRAFT_ENTRY_COMPILE_SAFE) modes.push_back("torch_compile");
  return {{"name", entry.name},     {"contract", contracts.front()},
          {"contracts", contracts}, {"devices", {device_name(entry.device_type)}},
          {"modes", modes},         {"cpu_features", entry.cpu_features ? entry.cpu_features : ""}};
}

ordered_json describe(const LocatedPackage& located) {
  ordered_json variants = ordered_json::array();
  for (const VariantTrace& variant : located.variants.trace)
    variants.push_back({{"name", variant.name}, {"accepted", variant.accepted}, {"reason", variant.reason}});
  return {{"repo", located.repo},     {"revision", located.revision},
          {"commit", located.commit}, {"entries", ordered_json::array()},
          {"variants", variants},     {"chosen", located.variants.chosen}};
}

void print(const ordered_json& info) {
  auto text = [&](const char* key) { return printable(info[key].get<std::string>()); };
  fmt::print("{}", styled(text("repo"), Style::bold));
  if (!text("commit").empty()) fmt::print("  {}  {}", text("revision"), text("commit"));
  fmt::print("\n");
  for (const ordered_json& entry : info["entries"])
    fmt::print(
        "  entry {:<24} {}  {}  {}{}\n", printable(entry["name"].get<std::string>()),
        printable(entry["contract"].get<std::string>()), entry["devices"][0].get<std::string>(),
        fmt::join(entry["modes"].get<std::vector<std::string>>(), "+"),
        entry["cpu_features"] == "" ? "" : "  needs " + printable(entry["cpu_features"].get<std::string>()));
  for (const ordered_json& variant : info["variants"])
    fmt::print("  {} {}: {}\n", variant["accepted"] ? styled("✓", Style::green) : styled("✗", Style::dim),
               printable(variant["name"].get<std::string>()),
               printable(variant["reason"].get<std::string>()));
}

int show(const InfoOptions& options, bool json) {
  KernelRef ref = KernelRef::parse(options.ref);
  ordered_json info = describe(Runtime::shared().locate(ref, options.load));
  std::optional<Error> failure;
  try {
    Package package = Runtime::shared().load_package(ref, options.load);
    for (const graft_entry* entry : package.plugin->entries())
      if (ref.entry.empty() || ref.entry == entry->name) info["entries"].push_back(describe_entry(*entry));
    if (info["entries"].empty())
      package.plugin->entry(ref.entry, device_type(device_kind(options.load.device)));
    info["trust"] = package.trust.state;
    info["signer"] = package.trust.signer;
    info["digest"] = package.digest;
  } catch (const Error& e) {
    failure = e;
    info["reason"] = e.what();
  }
  if (json) {
    fmt::print("{}\n", info.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return failure ? kFailed : kDone;
  }
  print(info);
  if (failure) throw Error(*failure);
  return kDone;
}

}  // namespace

void add_info(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "info", "Show a kernel's entries, and which variant fits this machine and why",
                  "graft info graft-kernels/norm@v1.0.0");
  auto options = std::make_shared<InfoOptions>();
  command->add_option("REF", options->ref, "org/repo[@revision][:Entry] or /absolute/path[:Entry]")
      ->required();
  command->add_option("--device", options->load.device, "cpu, cuda, …")->capture_default_str();
  command->add_flag("--allow-all-kernels", options->load.allow_all_kernels,
                    "also look into kernels of publishers that the policy does not trust");
  command->callback(
      [&line, options] { line.action = [&line, options] { return show(*options, line.json); }; });
}

}  // namespace graft
