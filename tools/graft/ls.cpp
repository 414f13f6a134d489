// graft ls: what is on this machine: the cache of Hubs over HTTP, and the hubs that are folders.
#include <fmt/format.h>

#include "cached.h"
#include "command.h"
#include "graft/find_commit.h"
#include "graft/kernel_config.h"
#include "graft/runtime.h"
#include "graft/version.h"
#include "quantities.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

/// Variants and bytes of one commit of a folder.
ordered_json describe_commit(Hub& hub, const RepoId& repo, const std::string& commit,
                             const LoadedWhere& loaded) {
  const std::vector<HubFile> files = hub.list(repo, commit, "");
  std::uint64_t bytes = 0;
  for (const HubFile& file : files) bytes += file.size;
  return {{"commit", commit},
          {"bytes", bytes},
          {"variants", variants_of(files)},
          {"loaded_by", in_json(loaded.of(repo, commit))}};
}

ordered_json describe_repo(Hub& hub, const std::string& name, const LoadedWhere& loaded) {
  RepoId repo{RepoKind::kernel, name};
  Refs refs = hub.refs(repo);
  std::map<std::string, std::optional<Version>> newest;  // by commit: the highest version that names it
  for (const auto* group : {&refs.tags, &refs.branches})
    for (const auto& [ref, commit] : *group) newest[commit] = std::max(newest[commit], Version::parse(ref));
  std::vector<std::pair<std::string, std::optional<Version>>> commits(newest.begin(), newest.end());
  std::stable_sort(commits.begin(), commits.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  ordered_json described = {{"hub", hub.endpoint()},
                            {"repo", name},
                            {"tags", refs.tags},
                            {"branches", refs.branches},
                            {"commits", ordered_json::array()}};
  for (const auto& [commit, version] : commits)
    described["commits"].push_back(describe_commit(hub, repo, commit, loaded));
  return described;
}

ordered_json describe_hubs(const LoadedWhere& loaded) {
  std::vector<std::shared_ptr<Hub>> hubs;
  if (auto embedded = Runtime::shared().embedded_hub()) hubs.push_back(embedded);
  const std::string endpoint = HubOptions::from_environment().endpoint;
  if (endpoint.starts_with("file://")) {
    auto hub = open_hub(endpoint);
    if (hubs.empty() || hubs.front()->endpoint() != hub->endpoint()) hubs.push_back(hub);
  }
  ordered_json repos = ordered_json::array();
  for (const auto& hub : hubs)
    for (const std::string& name : hub->repos(RepoKind::kernel))
      repos.push_back(describe_repo(*hub, name, loaded));
  return repos;
}

ordered_json describe_cached(const CachedRepo& repo, const LoadedWhere& loaded) {
  ordered_json commits = ordered_json::array();
  for (const CachedCommit& commit : repo.commits)
    commits.push_back({{"commit", commit.commit},
                       {"refs", commit.refs},
                       {"variants", variants_of(commit)},
                       {"bytes", commit.bytes},
                       {"last_used", iso_time(commit.last_used)},
                       {"loaded_by", in_json(loaded.of(repo, commit))}});
  return {{"repo", repo.id.name},
          {"repo_type", repo_type(repo.id)},
          {"commits", commits},
          {"leftovers", repo.leftovers.size()},
          {"bytes", repo.bytes}};
}

std::string refs_of(const ordered_json& repo, const std::string& commit) {
  std::string names;
  for (const char* group : {"tags", "branches"})
    for (const auto& [name, named] : repo[group].items())
      if (named == commit) names += (names.empty() ? "" : ", ") + name;
  return names;
}

std::set<LoadedBy> loaded_by(const ordered_json& commit) {
  std::set<LoadedBy> processes;
  for (const ordered_json& process : commit["loaded_by"])
    processes.insert({process["pid"], process["program"], process.value("machine", "")});
  return processes;
}

/// One commit's lines. `used`: empty where nobody keeps it.
void print_commit(const std::string& commit, const std::string& refs, std::uint64_t bytes,
                  const std::string& used, const std::set<std::string>& variants,
                  const std::set<LoadedBy>& loaded) {
  fmt::print("    {}  {}  {}{}\n", printable(commit.substr(0, 12)),
             refs.empty() ? "(no ref)" : printable(refs), in_bytes(bytes),
             used.empty() ? "" : ", used " + used);
  for (const std::string& variant : variants) fmt::print("      {}\n", printable(variant));
  if (!loaded.empty()) fmt::print("      {} {}\n", styled("loaded by", Style::green), in_words(loaded));
}

void print_hubs(const ordered_json& repos) {
  std::string hub;
  for (const ordered_json& repo : repos) {
    if (repo["hub"] != hub) {
      hub = repo["hub"];
      fmt::print("{}\n", styled(printable(hub), Style::dim));
    }
    fmt::print("  {}\n", styled(printable(repo["repo"].get<std::string>()), Style::bold));
    for (const ordered_json& commit : repo["commits"])
      print_commit(commit["commit"], refs_of(repo, commit["commit"]), commit["bytes"], "", commit["variants"],
                   loaded_by(commit));
  }
}

void print_cached(const std::vector<CachedRepo>& repos, const LoadedWhere& loaded) {
  std::string cache;
  for (const CachedRepo& repo : repos) {
    if (repo.folder.parent_path() != cache) {
      cache = repo.folder.parent_path();
      fmt::print("{}\n", styled(printable(cache), Style::dim));
    }
    fmt::print("  {}  {}{}\n", styled(printable(repo.id.name), Style::bold), in_bytes(repo.bytes),
               repo.id.kind == RepoKind::model ? "  model" : "");
    for (const CachedCommit& commit : repo.commits)
      print_commit(commit.commit, fmt::format("{}", fmt::join(commit.refs, ", ")), commit.bytes,
                   how_long_ago(commit.last_used), variants_of(commit), loaded.of(repo, commit));
    if (!repo.leftovers.empty())
      fmt::print("    {} that no commit needs\n",
                 repo.leftovers.size() == 1 ? "a file" : fmt::format("{} files", repo.leftovers.size()));
  }
  if (!repos.empty()) fmt::print("  {} in all\n", in_bytes(bytes_on_disk(repos)));
}

int list(const CacheOptions& options, bool json) {
  const LoadedWhere loaded(options);
  const ordered_json hubs = describe_hubs(loaded);
  const CacheContents cached = scan_cache(options);
  if (json) {
    ordered_json repos = ordered_json::array();
    for (const CachedRepo& repo : cached.repos) repos.push_back(describe_cached(repo, loaded));
    print_json(
        {{"hubs", hubs}, {"cached", repos}, {"bytes", bytes_on_disk(cached.repos)}, {"notes", cached.notes}});
    return kDone;
  }
  print_hubs(hubs);
  print_cached(cached.repos, loaded);
  if (hubs.empty() && cached.repos.empty())
    fmt::print("no kernels here; fetch one: graft download org/name (models: graft ls --all)\n");
  for (const std::string& note : cached.notes)
    fmt::print(stderr, "{} {}\n", styled("note:", Style::yellow, true), printable(note));
  return kDone;
}

/// "cuda 8.0-8.9"
std::string text_of(const MappedDevice& device) {
  if (device.kind.empty()) return "all devices";
  if (!device.capability) return device.kind;
  const auto [min, max] = *device.capability;
  return fmt::format("{} {}.{}-{}.{}", device.kind, min / 10, min % 10, max / 10, max % 10);
}

int list_default_mapping(bool json) {
  const KernelConfig& config = KernelConfig::defaults();
  if (json) {
    fmt::print("{}\n", config.json());
    return kDone;
  }
  for (const auto& [layer, mapping] : config.layers())
    for (const LayerMapping::Line& each : mapping.lines())
      fmt::print("{:<17} {:<12} {:<10} {}\n", layer, text_of(each.device),
                 each.mode == Mode::Fallback ? "all modes" : name(each.mode), each.reference.empty() ? "(its own forward)" : each.reference);
  return kDone;
}

}  // namespace

void add_ls(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "ls", "List the kernels on this machine: cached, embedded, or of a folder",
                  "graft ls\n  graft ls --all --json");
  command->footer(
      command->get_footer() +
      "\nLoaded by: processes of this user that share its state folder (GRAFT_STATE_DIR), and those whose\n"
      "mapped files this user may look at. Last use is the newest access time of a commit's blobs.");
  auto options = std::make_shared<CacheOptions>();
  auto mapping = std::make_shared<bool>(false);
  add_cache_options(*command, *options);
  command->add_flag("--default-mapping", *mapping, "which kernel use_kernels = true binds onto which layer, instead");
  command->callback([&line, options, mapping] {
    line.action = [&line, options, mapping] { return *mapping ? list_default_mapping(line.json) : list(*options, line.json); };
  });
}

}  // namespace graft
