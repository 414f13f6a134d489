// What the commands of `graft` share.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace graft {

enum ExitCode { kDone = 0, kFailed = 1, kWrongUsage = 2 };

/// A command's work; set by its subcommand when that is on the command line. Returns an ExitCode, throws
/// Error.
using Action = std::function<int()>;

/// State of one command line: which action to run, and how to print.
struct CommandLine {
  Action action;
  bool json = false;  // --json was given: errors are printed as JSON, too
};

// Each adds its subcommand, with options, help and example, to `app`.
void add_bench(CLI::App& app, CommandLine& line);
void add_check(CLI::App& app, CommandLine& line);
void add_completion(CLI::App& app, CommandLine& line);
void add_doctor(CLI::App& app, CommandLine& line);
void add_download(CLI::App& app, CommandLine& line);
void add_gc(CLI::App& app, CommandLine& line);
void add_info(CLI::App& app, CommandLine& line);
void add_lock(CLI::App& app, CommandLine& line);
void add_ls(CLI::App& app, CommandLine& line);
void add_new(CLI::App& app, CommandLine& line);
void add_pack(CLI::App& app, CommandLine& line);
void add_policy(CLI::App& app, CommandLine& line);
void add_quarantine(CLI::App& app, CommandLine& line);
void add_rm(CLI::App& app, CommandLine& line);
void add_run(CLI::App& app, CommandLine& line);
void add_serve(CLI::App& app, CommandLine& line);
void add_sign(CLI::App& app, CommandLine& line);
void add_tokenize(CLI::App& app, CommandLine& line);
void add_trust(CLI::App& app, CommandLine& line);
void add_verify(CLI::App& app, CommandLine& line);
void add_verify_bundle(CLI::App& app, CommandLine& line);
void add_versions(CLI::App& app, CommandLine& line);

/// A subcommand with --json and an example below its help.
CLI::App* add_command(CLI::App& app, CommandLine& line, const char* name, const char* what,
                      const char* example);

}  // namespace graft
