// graft policy: whose kernels may run on this machine, and whether the files that say so hold.
#include "graft/policy.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

int show(bool json) {
  Policy policy = Policy::load();
  if (!json) {
    for (const std::filesystem::path& file : policy_files()) {
      bool read = std::find(policy.sources.begin(), policy.sources.end(), file) != policy.sources.end();
      fmt::print("{} {}\n", read ? styled("✓", Style::green) : styled("·", Style::dim), printable(file.string()));
    }
  }
  fmt::print("{}\n", policy.json());
  return kDone;
}

int check(const std::string& file, bool json) {
  Policy policy = file.empty() ? Policy::load() : Policy::read(file, Policy());
  if (json) {
    fmt::print("{}\n", ordered_json{{"valid", true}, {"sources", policy.sources}}.dump(2));
    return kDone;
  }
  for (const std::string& source : policy.sources) fmt::print("{} {}\n", styled("✓", Style::green), printable(source));
  if (policy.sources.empty()) fmt::print("no policy file; the defaults are in force (graft policy show)\n");
  return kDone;
}

}  // namespace

void add_policy(CLI::App& app, CommandLine& line) {
  CLI::App* command = app.add_subcommand("policy", "Show or check the trust policy");
  command->require_subcommand(1);
  command->footer("Example:\n  graft policy show\n  graft policy check ./policy.json");
  CLI::App* shown = add_command(*command, line, "show", "Print what the policy's files come to", "graft policy show");
  shown->callback([&line] { line.action = [&line] { return show(line.json); }; });
  CLI::App* checked = add_command(*command, line, "check", "Say whether a policy file holds; exit 1 if it does not",
                                  "graft policy check ./policy.json");
  auto file = std::make_shared<std::string>();
  checked->add_option("FILE", *file, "default: the files that are in force");
  checked->callback([&line, file] { line.action = [&line, file] { return check(*file, line.json); }; });
}

}  // namespace graft
