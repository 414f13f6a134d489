// The script for zsh: a function for each command, in terms of zsh's own _arguments and _describe.
#include <fmt/format.h>

#include <algorithm>

#include "completion.h"

namespace graft {
namespace {

constexpr const char* kBegin = R"sh(#compdef graft
# graft's words in zsh, by graft completion zsh
_graft_repos() {
  local kind=$1
  [[ " $words " == *" --repo-type"[\ =]"model "* ]] && kind=model
  local -a found=(${(f)"$(command $graft_program completion --words $kind 2>/dev/null)"})
  compadd -S '' -a found
}
_graft_kernels() {
  [[ $PREFIX == [./~]* ]] && _files || _graft_repos kernel
}
_graft_models() {
  [[ $PREFIX == [./~]* ]] && _files || _graft_repos model
}
)sh";

constexpr const char* kEnd = R"sh(if [ "$funcstack[1]" = "_graft" ]; then
  _graft "$@"  # found through $fpath
else
  compdef _graft graft
fi
)sh";

/// Inside single quotes, and inside brackets of _arguments.
std::string quoted(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '\'') safe += "'\\'";
    if (c == '[' || c == ']' || c == '\\' || c == ':') safe += '\\';
    safe += c == '\n' ? ' ' : c;
  }
  return safe;
}

std::string function_of(const CompletedCommand& command) {
  std::string name = "_" + command.path;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '-'; }, '_');
  return name;
}

std::string action(const Completed& value) {
  switch (value.offer) {
    case Offer::choice:
      return fmt::format("({})", fmt::join(value.choices, " "));
    case Offer::file:
      return "_files";
    case Offer::folder:
      return "_files -/";
    case Offer::kernel:
      return "_graft_kernels";
    case Offer::model:
      return "_graft_models";
    case Offer::nothing:
      break;
  }
  return " ";
}

std::string spec_of(const Completed& option) {
  std::string names = fmt::format("{}", fmt::join(option.names, " ")), specs;
  const bool is_help = option.names.front() == "--help" || option.names.front() == "--version";
  for (const std::string& name : option.names) {
    std::string excludes = is_help ? "(- *)" : option.repeats ? "*" : "(" + names + ")";
    const char* joined = option.takes_value && name.starts_with("--") ? "=" : "";  // --option=value, too
    specs += fmt::format("    '{}{}{}[{}]", excludes, name, joined, quoted(option.what));
    if (option.takes_value)
      specs += fmt::format(":{}:{}", quoted(name.substr(name.find_first_not_of('-'))), action(option));
    specs += "' \\\n";
  }
  return specs;
}

std::string function(const CompletedCommand& command) {
  std::string text = function_of(command) + "() {\n";
  if (command.path == "graft") text += "  local graft_program=$words[1]\n";
  text += "  local curcontext=\"$curcontext\" state line\n  typeset -A opt_args\n  _arguments -s -S -C \\\n";
  for (const Completed& option : command.options) text += spec_of(option);
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const Completed& argument = command.arguments[i];
    text += fmt::format("    '{}:{}:{}' \\\n", argument.repeats ? "*" : std::to_string(i + 1),
                        quoted(argument.names.front()), action(argument));
  }
  if (command.commands.empty()) return text + "    && return\n}\n";

  text += "    '1: :->command' '*:: :->rest' && return\n  local -a commands=(\n";
  for (const CompletedCommand& each : command.commands)
    text += fmt::format("    '{}:{}'\n", each.name(), quoted(each.what));
  text +=
      "  )\n  case $state in\n  command) _describe -t commands 'command' commands ;;\n  rest)\n    case "
      "$words[1] in\n";
  for (const CompletedCommand& each : command.commands)
    text += fmt::format("    {}) {} ;;\n", each.name(), function_of(each));
  return text + "    esac ;;\n  esac\n}\n";
}

std::string functions(const CompletedCommand& command) {
  std::string text = function(command);
  for (const CompletedCommand& each : command.commands) text += functions(each);
  return text;
}

}  // namespace

std::string zsh_completion(const CompletedCommand& graft) {
  return kBegin + functions(graft) + kEnd;
}

}  // namespace graft
