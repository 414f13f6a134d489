// The script for bash (3.2 and newer).
#include <fmt/format.h>

#include "completion.h"

namespace graft {
namespace {

// $offer says what may stand here, $words the words among it. Written so that a name with blanks stays whole.
constexpr const char* kScript = R"sh(# graft's words in bash, by graft completion bash
_graft_repos() {
  "${COMP_WORDS[0]}" completion --words "$1" 2>/dev/null
}
_graft() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" path=graft position=0 offer="" words="" word i
  if [ "$current" = "=" ]; then current=""  # bash takes --option=value apart
  elif [ "$previous" = "=" ]; then previous="${COMP_WORDS[COMP_CWORD-2]}"; fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word="${COMP_WORDS[i]}"
    case "$path $word" in
@PATHS@      path="$path $word"; position=0 ;;
@VALUED@      ((++i)); [ "${COMP_WORDS[i]}" = "=" ] && ((++i)) ;;
      *" "-*|*" =") ;;
      *) ((++position)) ;;
    esac
  done
  case "$path $previous" in
@VALUES@  *)
    case "$current" in
    -*)
      offer=words
      case "$path" in
@OPTIONS@      esac ;;
    *)
      case "$path $position" in
@ARGUMENTS@      esac ;;
    esac ;;
  esac
  [ "$offer" = kernel ] && [[ " ${COMP_WORDS[*]} " =~ " --repo-type "(= )?"model " ]] && offer=model
  local IFS=$'\n'
  case "$offer" in
    words) COMPREPLY=($(IFS=' '; compgen -W "$words" -- "$current")) ;;
    folder) COMPREPLY=($(compgen -d -- "$current")); compopt -o filenames 2>/dev/null ;;
    file) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null ;;
    kernel|model)
      case "$current" in
        .*|/*|\~*) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null ;;
        *) COMPREPLY=($(compgen -W "$(_graft_repos "$offer")" -- "$current")); compopt -o nospace 2>/dev/null ;;
      esac ;;
    *) COMPREPLY=() ;;
  esac
}
complete -F _graft graft
)sh";

/// What the script knows, gathered from all commands.
struct Tables {
  std::string paths, valued, values, options, arguments;

  void add(const CompletedCommand& command) {
    std::vector<std::string> words;
    for (const Completed& option : command.options)
      for (const std::string& name : option.names) {
        words.push_back(name);
        if (!option.takes_value) continue;
        valued += (valued.empty() ? "" : "|") + fmt::format("'{} {}'", command.path, name);
        values += fmt::format("  '{} {}') {} ;;\n", command.path, name, offer(option));
      }
    options += fmt::format("      '{}') words=\"{}\" ;;\n", command.path, fmt::join(words, " "));
    std::vector<std::string> names;
    for (const CompletedCommand& each : command.commands) names.push_back(each.name());
    if (!names.empty())
      arguments +=
          fmt::format("      '{} 0') offer=words words=\"{}\" ;;\n", command.path, fmt::join(names, " "));
    for (std::size_t i = 0; i < command.arguments.size(); ++i)
      arguments +=
          fmt::format("      '{} '{}) {} ;;\n", command.path,
                      command.arguments[i].repeats ? "*" : std::to_string(i), offer(command.arguments[i]));
    for (const CompletedCommand& each : command.commands) {
      paths += (paths.empty() ? "" : "|") + fmt::format("'{}'", each.path);
      add(each);
    }
  }

  static std::string offer(const Completed& value) {
    switch (value.offer) {
      case Offer::choice:
        return fmt::format("offer=words words=\"{}\"", fmt::join(value.choices, " "));
      case Offer::file:
        return "offer=file";
      case Offer::folder:
        return "offer=folder";
      case Offer::kernel:
        return "offer=kernel";
      case Offer::model:
        return "offer=model";
      case Offer::nothing:
        break;
    }
    return "";
  }
};

void replace(std::string& text, std::string_view what, const std::string& with) {
  text.replace(text.find(what), what.size(), with);
}

}  // namespace

std::string bash_completion(const CompletedCommand& graft) {
  Tables tables;
  tables.add(graft);
  std::string script = kScript;
  replace(script, "@PATHS@", "      " + tables.paths + ")\n");
  replace(script, "@VALUED@", "      " + tables.valued + ")\n");
  replace(script, "@VALUES@", tables.values);
  replace(script, "@OPTIONS@", tables.options);
  replace(script, "@ARGUMENTS@", tables.arguments);
  return script;
}

}  // namespace graft
