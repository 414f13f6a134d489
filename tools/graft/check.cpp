// graft check: what is wrong with a kernel repo as built, before anybody else gets it.
#include "graft/check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "entry_text.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;
using State = VariantCheck::State;

struct CheckCommand {
  std::string path;
  CheckOptions options;
};

const char* word(State state) {
  switch (state) {
    case State::passed: return "passed";
    case State::skipped: return "skipped";
    case State::failed: return "failed";
  }
  return "failed";
}

std::string mark(State state) {
  switch (state) {
    case State::passed: return styled("✓", Style::green);
    case State::skipped: return styled("–", Style::yellow);
    case State::failed: return styled("✗", Style::red);
  }
  return "?";
}

ordered_json describe(const RepoCheck& result) {
  ordered_json variants = ordered_json::array();
  for (const VariantCheck& check : result.variants) {
    ordered_json entries = ordered_json::array();
    for (const graft_entry* entry : check.entries) entries.push_back(describe_entry(*entry));
    variants.push_back({{"name", check.variant},
                        {"state", word(check.state)},
                        {"problems", check.problems},
                        {"notes", check.notes},
                        {"entries", entries}});
  }
  return {{"passed", result.passed()}, {"variants", variants}};
}

void print(const RepoCheck& result, const std::string& path) {
  for (const VariantCheck& check : result.variants) {
    fmt::print("{} {}\n", mark(check.state), styled(printable(check.variant.empty() ? path : check.variant), Style::bold));
    for (const std::string& problem : check.problems) fmt::print("    {}\n", styled(printable(problem), Style::red));
    for (const std::string& note : check.notes) fmt::print("    {}\n", printable(note));
    for (const graft_entry* entry : check.entries) print_entry(describe_entry(*entry));
  }
}

int check(const CheckCommand& command, bool json) {
  const RepoCheck result = check_repo(command.path, command.options);
  if (json)
    fmt::print("{}\n", describe(result).dump(2, ' ', false, ordered_json::error_handler_t::replace));
  else
    print(result, command.path);
  return result.passed() ? kDone : kFailed;
}

}  // namespace

void add_check(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(
      app, line, "check", "Say what is wrong with a kernel as built: names, digests, libraries, entries; for GPUs without one, too",
      "graft check repos/me/norm\n"
      "  graft check repos/me/norm/build/graft1-cu130-x86_64-linux --json\n"
      "What its entries compute is held against the layers' own forwards by graft bench /absolute/path:Entry.");
  auto options = std::make_shared<CheckCommand>();
  command->add_option("PATH", options->path, "a repo as built (build/<variant>/<library>.so), a variant's folder, or a library")
      ->required();
  command->add_option("--device", options->options.device, "whose a library is that is in no variant's folder: cpu, cuda, …")
      ->capture_default_str();
  command->callback([&line, options] { line.action = [&line, options] { return check(*options, line.json); }; });
}

}  // namespace graft
