// graft info: what a reference comes to on this machine, or on another one that is described.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "entry_text.h"
#include "graft/error.h"
#include "graft/runtime.h"
#include "host_option.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct InfoOptions {
  std::string ref, host;
  LoadOptions load;
};

ordered_json describe(const LocatedPackage& located) {
  ordered_json variants = ordered_json::array();
  for (const VariantTrace& variant : located.variants.trace)
    variants.push_back({{"name", variant.name}, {"accepted", variant.accepted}, {"reason", variant.reason}});
  return {{"repo", located.repo},
          {"revision", located.revision},
          {"commit", located.commit},
          {"hub", located.endpoint},
          {"locked", located.locked.has_value()},
          {"note", located.note},
          {"entries", ordered_json::array()},
          {"variants", variants},
          {"chosen", located.variants.chosen}};
}

/// What the publisher says of it, which was signed if a signer is named.
void add_metadata(ordered_json& info, const Metadata& metadata) {
  auto put = [&](const char* key, const auto& value) {
    if (!value.empty()) info[key] = value;
  };
  put("name", metadata.name);
  if (metadata.version) info["version"] = *metadata.version;
  put("license", metadata.license);
  put("upstream", metadata.upstream);
  put("source", metadata.source);
  put("source_commit", metadata.source_commit);
  if (metadata.dirty) info["dirty"] = true;
  put("kernels_minver", metadata.kernels_minver);
  put("python_depends", metadata.python_depends);
  for (const KernelDependency& dependency : metadata.kernel_depends) info["kernel_depends"].push_back(dependency.repo + "@" + dependency.asked());
}

void add_package(ordered_json& info, const Package& package, const KernelRef& ref, const std::string& device) {
  for (const graft_entry* entry : package.plugin->entries())
    if (ref.entry.empty() || ref.entry == entry->name) info["entries"].push_back(describe_entry(*entry));
  if (info["entries"].empty()) package.plugin->entry(ref.entry, device_type(device_kind(device)));
  info["trust"] = package.trust.state;
  info["trust_reason"] = package.trust.reason;
  info["signer"] = package.trust.signer;
  info["digest"] = package.digest;
  add_metadata(info, *package.metadata);
}

void print_line(const char* label, const std::string& text) {
  if (!text.empty()) fmt::print("  {:<11} {}\n", label, text);
}

void print_variants(const ordered_json& info) {
  std::size_t width = 0;
  for (const ordered_json& variant : info["variants"]) width = std::max(width, variant["name"].get_ref<const std::string&>().size());
  if (width > 0) fmt::print("  variants\n");
  for (const ordered_json& variant : info["variants"]) {
    const std::string name = variant["name"];
    const bool chosen = info["chosen"] == ordered_json(name);
    fmt::print("    {} {:<{}}  {}\n", variant["accepted"] ? styled("✓", Style::green) : styled("✗", Style::dim), printable(name), width,
               chosen ? styled("chosen", Style::bold) : printable(variant["reason"].get<std::string>()));
  }
}

void print(const ordered_json& info) {
  auto text = [&](const char* key) {
    if (!info.contains(key)) return std::string();
    return printable(info[key].is_string() ? info[key].get<std::string>() : info[key].dump());
  };
  fmt::print("{}\n", styled(text("repo"), Style::bold));
  if (!text("commit").empty()) print_line("revision", text("revision") + "  " + text("commit") + (info["locked"] ? "  " + styled("locked", Style::green) : ""));
  print_line("hub", text("hub"));
  print_line("note", text("note").empty() ? "" : styled(text("note"), Style::yellow));
  print_line("version", text("version"));
  print_line("license", text("license"));
  print_line("upstream", text("upstream"));
  print_line("source", text("source") + (text("source_commit").empty() ? "" : (text("source").empty() ? "" : " at ") + text("source_commit")));
  if (info.contains("dirty")) print_line("", styled("built from sources with changes that no commit holds: nobody can build it again", Style::yellow));
  print_line("needs", text("kernels_minver").empty() ? "" : "HF kernels " + text("kernels_minver"));
  if (info.contains("kernel_depends")) print_line("depends on", joined(info["kernel_depends"]));
  if (info.contains("python_depends")) print_line("Python", joined(info["python_depends"]));
  if (info.contains("trust")) print_line("trust", (info["trust"] == "trusted" ? styled(text("trust"), Style::green) : styled(text("trust"), Style::yellow)) + ": " + text("trust_reason"));
  print_line("signed by", info.contains("signer") && text("signer").empty() ? styled("nobody whom the policy names", Style::yellow) : text("signer"));
  print_line("digest", text("digest"));
  if (!info["entries"].empty()) fmt::print("  entries\n");
  for (const ordered_json& entry : info["entries"]) print_entry(entry);
  print_variants(info);
}

int show(const InfoOptions& options, bool json) {
  KernelRef ref = KernelRef::parse(options.ref);
  LoadOptions load = options.load;
  load.host = read_host_option(options.host);
  ordered_json info = describe(Runtime::shared().locate(ref, load));
  std::optional<Error> failure;
  if (!load.host) {  // another machine's variant cannot be opened here
    try {
      add_package(info, Runtime::shared().load_package(ref, load), ref, load.device);
    } catch (const Error& e) {
      failure = e;
      info["reason"] = e.what();
    }
  }
  const bool none_fits = info["chosen"] == "" && !ref.is_local();
  if (json) {
    fmt::print("{}\n", info.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return failure || none_fits ? kFailed : kDone;
  }
  print(info);
  if (failure) throw Error(*failure);
  return none_fits ? kFailed : kDone;
}

}  // namespace

void add_info(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "info", "Show a kernel's entries, who signed it, and which variant fits this machine and why",
                  "graft info graft-kernels/norm@>=1.0,<2.0\n"
                  "  graft info kernels-community/activation --device cuda --host gpu.json   # which variant would fit there?");
  auto options = std::make_shared<InfoOptions>();
  command->add_option("REF", options->ref, "org/repo[@revision][:Entry] or /absolute/path[:Entry]")
      ->required();
  command->add_option("--device", options->load.device, "cpu, cuda, …")->capture_default_str();
  add_host_option(*command, options->host);
  command->add_flag("--allow-all-kernels", options->load.allow_all_kernels,
                    "also look into kernels of publishers that the policy does not trust");
  command->callback(
      [&line, options] { line.action = [&line, options] { return show(*options, line.json); }; });
}

}  // namespace graft
