// graft completion: a script for the shell, made from the commands and options themselves.
#include "completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "command.h"
#include "graft/runtime.h"
#include "terminal.h"

namespace graft {
namespace {

/// By the names that the commands have for what they take.
Offer offer_for(const std::string& name) {
  for (const char* each :
       {"FILE", "FILE_OR_DIGEST", "--key", "--new-key", "--bundle", "--certificate", "--trusted-root", "--html", "--report"})
    if (name == each) return Offer::file;
  for (const char* each : {"DIR", "--hub", "--cache-dir"})
    if (name == each) return Offer::folder;
  for (const char* each : {"REF", "REPO", "--attn-implementation"})
    if (name == each) return Offer::kernel;
  return name == "MODEL" ? Offer::model : Offer::nothing;
}

/// The words of CLI::IsMember, which the type's name ends in: "TEXT:{kernel,model}".
std::vector<std::string> choices_of(const CLI::Option& option, const std::string& name) {
  std::string type = option.get_type_name();
  std::size_t begin = type.rfind('{'), end = type.rfind('}');
  if (begin != type.npos && end != type.npos && begin < end)
    return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
  if (name == "--device") return {"cpu", "cuda", "rocm", "metal", "xpu"};
  return {};
}

Completed describe(const CLI::Option& option) {
  Completed described{.names = {}, .what = option.get_description()};
  for (const std::string& name : option.get_lnames()) described.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) described.names.push_back("-" + name);
  if (described.names.empty()) described.names.push_back(option.get_name());
  described.takes_value = option.get_items_expected_max() > 0;
  described.repeats = option.get_items_expected_max() > 1;
  if (!described.takes_value) return described;
  described.choices = choices_of(option, described.names.front());
  described.offer = described.choices.empty() ? offer_for(described.names.front()) : Offer::choice;
  return described;
}

/// The names of repos on this machine. Whatever is wrong, who types wants to type on.
void add_repos(std::set<std::string>& names, RepoKind kind,
               const std::function<std::shared_ptr<Hub>()>& open) try {
  if (std::shared_ptr<Hub> hub = open())
    for (const std::string& name : hub->repos(kind)) names.insert(name);
} catch (const std::exception&) {
}

void print_repos(RepoKind kind) {
  std::set<std::string> names;
  add_repos(names, kind, [] { return Runtime::shared().embedded_hub(); });
  add_repos(names, kind, [] { return open_hub(HubOptions::from_environment()); });
  for (const std::string& name : names) fmt::print("{}\n", printable(name));
}

}  // namespace

CompletedCommand describe_completion(const CLI::App& app, const std::string& path) {
  CompletedCommand described{path, app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty())  // what has none is hidden
      (option->get_positional() ? described.arguments : described.options).push_back(describe(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    described.commands.push_back(describe_completion(*command, path + " " + command->get_name()));
  return described;
}

void add_completion(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that completes graft's words in your shell");
  command->footer(
      "Example:\n  eval \"$(graft completion bash)\"                    # in ~/.bashrc\n"
      "  eval \"$(graft completion zsh)\"                     # in ~/.zshrc, after compinit; or as a file of "
      "$fpath:\n"
      "  graft completion zsh > ~/.zsh/completions/_graft");
  auto shell = std::make_shared<std::string>(), words = std::make_shared<std::string>();
  command->add_option("SHELL", *shell)->check(CLI::IsMember({"bash", "zsh"}));
  command->add_option("--words", *words)
      ->check(CLI::IsMember({"kernel", "model"}))
      ->group("");  // for the scripts
  command->callback([&app, &line, shell, words] {
    if (shell->empty() && words->empty()) throw CLI::RequiredError("SHELL");
    line.action = [&app, shell, words] {
      if (!words->empty())
        print_repos(*words == "model" ? RepoKind::model : RepoKind::kernel);
      else
        fmt::print("{}",
                   (*shell == "zsh" ? zsh_completion : bash_completion)(describe_completion(app, "graft")));
      return int{kDone};
    };
  });
}

}  // namespace graft
