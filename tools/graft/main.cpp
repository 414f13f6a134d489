// graft: the command. Each subcommand stands in its own file.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "graft/error.h"
#include "near_names.h"
#include "terminal.h"

namespace graft {

CLI::App* add_command(CLI::App& app, CommandLine& line, const char* name, const char* what,
                      const char* example) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_flag("--json", line.json, "print JSON, for scripts");
  command->footer(std::string("Example:\n  ") + example);
  return command;
}

namespace {

/// A caret's picture ends in a newline, for messages on one line that follow it.
std::string trimmed(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

void print_error(const Error& error, bool json) {
  std::fflush(stdout);  // what was printed before stands before it, also in a pipe
  if (json) {
    nlohmann::ordered_json object = {{"error",
                                      {{"code", name(error.code())},
                                       {"what", error.failed()},
                                       {"why", error.why()},
                                       {"mend", error.mend()}}}};
    fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print(stderr, "{} {}: {}\n", styled("graft:", Style::red, true), printable(error.failed()),
             printable(trimmed(error.why())));
  if (!error.mend().empty()) fmt::print(stderr, "  → {}\n", printable(error.mend()));
}

/// A project's kernels are those that its lock file names.
void take_lock_file_of_this_folder() {
  std::error_code error;
  if (!std::getenv("GRAFT_LOCK") && std::filesystem::is_regular_file("graft.lock", error)) setenv("GRAFT_LOCK", "graft.lock", 1);
}

/// CLI11 would say that a subcommand is required, which helps nobody who mistyped one.
void check_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return;
  const std::string near = near_names(argv[1], names);
  throw Error(ErrorCode::invalid_argument, "\"" + std::string(argv[1]) + "\"", "is no command of graft",
              near.empty() ? "see which there are: graft --help" : near);
}

int run(int argc, char** argv) {
  CLI::App app("Loads optimized kernels from a Hub onto the layers of a model.", "graft");
  app.set_version_flag("--version", GRAFT_VERSION);
  app.require_subcommand(1);
  app.footer("Exit code: 0 done, 1 failed, 2 wrong usage.  graft COMMAND --help says more.");
  CommandLine line;
  add_run(app, line);
  add_bench(app, line);
  add_info(app, line);
  add_versions(app, line);
  add_doctor(app, line);
  add_download(app, line);
  add_lock(app, line);
  add_ls(app, line);
  add_rm(app, line);
  add_gc(app, line);
  add_verify(app, line);
  add_verify_bundle(app, line);
  add_policy(app, line);
  add_trust(app, line);
  add_quarantine(app, line);
  add_new(app, line);
  add_check(app, line);
  add_pack(app, line);
  add_sign(app, line);
  add_serve(app, line);
  add_tokenize(app, line);
  add_completion(app, line);
  try {
    check_command(app, argc, argv);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kDone : kWrongUsage;
  } catch (const Error& e) {
    print_error(e, false);
    return kWrongUsage;
  }
  take_lock_file_of_this_folder();
  try {
    return line.action();
  } catch (const Error& e) {
    print_error(e, line.json);
    return e.code() == ErrorCode::invalid_argument ? kWrongUsage : kFailed;
  } catch (const std::exception& e) {
    print_error(Error(ErrorCode::internal, "graft", e.what(), "please report it"), line.json);
    return kFailed;
  }
}

}  // namespace
}  // namespace graft

int main(int argc, char** argv) {
  return graft::run(argc, argv);
}
