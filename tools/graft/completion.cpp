// graft completion: a script for the shell, made from the commands and options themselves.
#include <fmt/format.h>

#include "command.h"

namespace graft {
namespace {

std::string words(const std::vector<std::string>& list) {
  return fmt::format("{}", fmt::join(list, " "));
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string bash(const CLI::App& app) {
  std::string cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), words(options_of(*command)));
  return fmt::format(R"(_graft() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words="{} --help --version"
  [ "$COMP_CWORD" -gt 1 ] && words=""
  case "${{COMP_WORDS[1]}}" in
{}  esac
  case "$current" in
    -*|"") COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _graft graft
)",
                     words(commands_of(app)), cases);
}

}  // namespace

void add_completion(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that completes graft's words in your shell");
  command->footer("Example:\n  eval \"$(graft completion bash)\"");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell)->required()->check(CLI::IsMember({"bash", "zsh"}));
  command->callback([&app, &line, shell] {
    line.action = [&app, shell] {
      // zsh runs bash's completions through its own bridge.
      if (*shell == "zsh") fmt::print("autoload -U +X bashcompinit && bashcompinit\n");
      fmt::print("{}", bash(app));
      return int{kDone};
    };
  });
}

}  // namespace graft
