// graft quarantine: the digests that failed their probe, and are not loaded until they are lifted.
#include "graft/quarantine.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct QuarantineOptions {
  std::string digest, reason;
};

void print_json(const ordered_json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

ordered_json describe(const QuarantinedDigest& one) {
  return {{"digest", one.digest},
          {"name", one.name},
          {"reason", one.reason},
          {"when", one.when},
          {"graft_version", one.graft_version}};
}

int list(bool json) {
  std::vector<QuarantinedDigest> all = list_quarantine();
  if (json) {
    ordered_json array = ordered_json::array();
    for (const QuarantinedDigest& one : all) array.push_back(describe(one));
    print_json(array);
    return kDone;
  }
  for (const QuarantinedDigest& one : all)
    fmt::print("{}\n  {}  since {}\n  {}\n", styled(one.digest, Style::bold),
               one.name.empty() ? "(no name)" : printable(one.name), printable(one.when),
               printable(one.reason));
  if (all.empty()) fmt::print("nothing is in quarantine\n");
  return kDone;
}

int lift(const QuarantineOptions& options, bool json) {
  std::string lifted = lift_quarantine(options.digest);
  if (json)
    print_json({{"lifted", lifted}});
  else
    fmt::print("lifted {}; its next load tries it again\n", lifted);
  return kDone;
}

int add(const QuarantineOptions& options, bool json) {
  if (!quarantine(options.digest, "", options.reason))
    throw Error(ErrorCode::io, "quarantine of " + options.digest,
                "no record could be written in " + state_folder().string(),
                "check the folder's permissions, or set GRAFT_STATE_DIR");
  if (json)
    print_json(describe(find_quarantined(options.digest).value()));
  else
    fmt::print("{} is not loaded any more\n", options.digest);
  return kDone;
}

}  // namespace

void add_quarantine(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "quarantine", "List, lift and add digests of plugins that are not to be loaded",
                  "graft quarantine\n  graft quarantine lift sha256:c9a30b67047b");
  auto options = std::make_shared<QuarantineOptions>();
  command->require_subcommand(0, 1);
  command->callback([&line, command] {
    if (command->get_subcommands().empty()) line.action = [&line] { return list(line.json); };
  });

  CLI::App* listing = command->add_subcommand("list", "Say what is in quarantine, newest first, and why");
  listing->add_flag("--json", line.json, "print JSON, for scripts");
  listing->footer("Example:\n  graft quarantine list --json");
  listing->callback([&line] { line.action = [&line] { return list(line.json); }; });

  CLI::App* lifting = command->add_subcommand("lift", "Let a digest load again; its next load tries it anew");
  lifting->add_flag("--json", line.json, "print JSON, for scripts");
  lifting->add_option("DIGEST", options->digest, "sha256:…, 8 hex digits of it or more")->required();
  lifting->footer("Example:\n  graft quarantine lift sha256:c9a30b67047b");
  lifting->callback(
      [&line, options] { line.action = [&line, options] { return lift(*options, line.json); }; });

  CLI::App* adding = command->add_subcommand("add", "Keep a digest from being loaded on this machine");
  adding->add_flag("--json", line.json, "print JSON, for scripts");
  adding->add_option("DIGEST", options->digest, "sha256: and 64 hex digits")->required();
  adding->add_option("--reason", options->reason, "what to say when it is refused")->required();
  adding->footer(
      "Example:\n  graft quarantine add sha256:<64 hex digits> --reason \"wrong results on long rows\"");
  adding->callback([&line, options] { line.action = [&line, options] { return add(*options, line.json); }; });
}

}  // namespace graft
