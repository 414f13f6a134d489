// graft ls: what the hubs on this machine hold.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "command.h"
#include "graft/runtime.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

/// Variants and bytes of one commit.
ordered_json describe_commit(Hub& hub, const RepoId& repo, const std::string& commit) {
  std::set<std::string> variants;
  std::uint64_t bytes = 0;
  for (const HubFile& file : hub.list(repo, commit, "")) {
    bytes += file.size;
    if (!file.path.starts_with("build/")) continue;
    std::size_t begin = std::string("build/").size(), end = file.path.find('/', begin);
    if (end != file.path.npos) variants.insert(file.path.substr(begin, end - begin));
  }
  return {{"commit", commit}, {"bytes", bytes}, {"variants", variants}};
}

ordered_json describe_repo(Hub& hub, const std::string& name) {
  RepoId repo{RepoKind::kernel, name};
  Refs refs = hub.refs(repo);
  std::set<std::string> commits;
  for (const auto* group : {&refs.tags, &refs.branches})
    for (const auto& [ref, commit] : *group) commits.insert(commit);
  ordered_json described = {{"hub", hub.endpoint()},
                            {"repo", name},
                            {"tags", refs.tags},
                            {"branches", refs.branches},
                            {"commits", ordered_json::array()}};
  for (const std::string& commit : commits)
    described["commits"].push_back(describe_commit(hub, repo, commit));
  return described;
}

std::string refs_of(const ordered_json& repo, const std::string& commit) {
  std::string names;
  for (const char* group : {"tags", "branches"})
    for (const auto& [name, named] : repo[group].items())
      if (named == commit) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void print(const ordered_json& repos) {
  std::string hub;
  for (const ordered_json& repo : repos) {
    if (repo["hub"] != hub) {
      hub = repo["hub"];
      fmt::print("{}\n", styled(printable(hub), Style::dim));
    }
    fmt::print("  {}\n", styled(repo["repo"].get<std::string>(), Style::bold));
    for (const ordered_json& commit : repo["commits"]) {
      std::string id = commit["commit"];
      fmt::print("    {}  {}  {:.1f} MB\n", id.substr(0, 12), printable(refs_of(repo, id)),
                 commit["bytes"].get<double>() / 1e6);
      for (const ordered_json& variant : commit["variants"])
        fmt::print("      {}\n", printable(variant.get<std::string>()));
    }
  }
  if (repos.empty()) fmt::print("no kernels here; set HF_ENDPOINT=file:///path to a hub's folder\n");
}

int list(bool json) {
  Runtime& runtime = Runtime::shared();
  std::vector<std::shared_ptr<Hub>> hubs;
  if (auto embedded = runtime.embedded_hub()) hubs.push_back(embedded);
  const std::string endpoint = HubOptions::from_environment().endpoint;
  if (endpoint.starts_with("file://")) {
    auto hub = open_hub(endpoint);
    if (hubs.empty() || hubs.front()->endpoint() != hub->endpoint()) hubs.push_back(hub);
  }

  ordered_json repos = ordered_json::array();
  for (const auto& hub : hubs)
    for (const std::string& name : hub->repos(RepoKind::kernel)) repos.push_back(describe_repo(*hub, name));
  if (json)
    fmt::print("{}\n", repos.dump(2));
  else
    print(repos);
  return kDone;
}

}  // namespace

void add_ls(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "ls", "List the kernels that the hubs on this machine hold", "graft ls");
  command->callback([&line] { line.action = [&line] { return list(line.json); }; });
}

}  // namespace graft
