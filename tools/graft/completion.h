// What a shell may offer at each place of a command line, taken from the commands and options themselves.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace graft {

/// What stands as a value: one of some words, a path, a repo of the cache, or what nobody can guess.
enum class Offer { choice, file, folder, kernel, model, nothing };

struct Completed {
  std::vector<std::string> names;  // "--yes", "-y"; of an argument its one: "REPO"
  std::string what;                // its help
  bool takes_value = true;         // false: a flag
  bool repeats = false;            // may be given more than once
  Offer offer = Offer::nothing;
  std::vector<std::string> choices = {};
};

struct CompletedCommand {
  std::string path;  // "graft policy show"
  std::string what;
  std::vector<Completed> options, arguments;  // arguments in their order
  std::vector<CompletedCommand> commands;

  std::string name() const { return path.substr(path.rfind(' ') + 1); }
};

CompletedCommand describe_completion(const CLI::App& app, const std::string& path);

std::string bash_completion(const CompletedCommand& graft);
std::string zsh_completion(const CompletedCommand& graft);

}  // namespace graft
