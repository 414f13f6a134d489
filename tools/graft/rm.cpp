// graft rm: a repo, or a commit of it, out of the cache.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "cached.h"
#include "command.h"
#include "graft/error.h"
#include "graft/kernel_ref.h"
#include "interrupt.h"
#include "near_names.h"
#include "quantities.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct RmOptions {
  CacheOptions cache;
  std::vector<std::string> refs;
  bool yes = false, dry_run = false, force = false;
};

/// A repo, and those of its commits that are to go.
struct Target {
  const CachedRepo* repo;
  std::set<std::string> commits;
};

Error not_cached(const std::string& name, const CacheOptions& options, const std::vector<CachedRepo>& repos) {
  std::vector<std::string> names;
  for (const CachedRepo& repo : repos) names.push_back(repo.id.name);
  std::string mend = near_names(name, names);
  CacheOptions others = options;
  others.repo_type = options.repo_type == "model" ? "kernel" : "model";
  for (const CachedRepo& repo : scan_cache(others).repos)
    if (repo.id.name == name) mend = fmt::format("it is there as a {0}: --repo-type {0}", others.repo_type);
  return {ErrorCode::not_found, "repo " + name, "is not in the cache",
          mend.empty() ? "see what is: graft ls --all" : mend};
}

/// By a branch's or tag's name, or seven digits of a commit or more.
std::set<std::string> find_commits(const CachedRepo& repo, const std::string& revision) {
  std::set<std::string> found;
  for (const CachedCommit& commit : repo.commits)
    if (revision.empty() || std::find(commit.refs.begin(), commit.refs.end(), revision) != commit.refs.end())
      found.insert(commit.commit);
  if (found.empty() && revision.size() >= 7)
    for (const CachedCommit& commit : repo.commits)
      if (commit.commit.starts_with(revision)) found.insert(commit.commit);
  if (found.size() > 1 && !revision.empty())
    throw Error(ErrorCode::invalid_argument, label(repo.id) + "@" + revision, "several commits begin so",
                "give more digits");
  return found;
}

Error no_such_revision(const std::string& name, const std::string& revision,
                       const std::vector<const CachedRepo*>& repos) {
  std::vector<std::string> there;
  for (const CachedRepo* repo : repos)
    for (const CachedCommit& commit : repo->commits) {
      there.insert(there.end(), commit.refs.begin(), commit.refs.end());
      there.push_back(commit.commit.substr(0, 12));
    }
  return {ErrorCode::revision_not_found, "repo " + name,
          "has no branch, tag or commit " + revision + " in the cache",
          fmt::format("there are: {}", fmt::join(there, ", "))};
}

std::vector<Target> find_targets(const RmOptions& options, const std::vector<CachedRepo>& repos) {
  std::map<const CachedRepo*, std::set<std::string>> found;
  for (const std::string& text : options.refs) {
    KernelRef ref = KernelRef::parse(text);
    if (ref.is_local() || !ref.entry.empty())
      throw Error(ErrorCode::invalid_argument, "\"" + text + "\"", "is no repo",
                  "write org/name or org/name@revision");
    std::vector<const CachedRepo*> named;
    for (const CachedRepo& repo : repos)
      if (repo.id.name == ref.repo) named.push_back(&repo);
    if (named.empty()) throw not_cached(ref.repo, options.cache, repos);
    bool any = ref.revision.empty();
    for (const CachedRepo* repo : named) {
      std::set<std::string> commits = find_commits(*repo, ref.revision);
      if (commits.empty() && !ref.revision.empty()) continue;
      found[repo].merge(commits);
      any = true;
    }
    if (!any) throw no_such_revision(ref.repo, ref.revision, named);
  }
  std::vector<Target> targets;
  for (auto& [repo, commits] : found) targets.push_back({repo, std::move(commits)});
  return targets;
}

void refuse_loaded(const std::vector<Target>& targets, const CacheOptions& options) {
  const LoadedWhere loaded(options);
  for (const auto& [repo, commits] : targets)
    for (const CachedCommit& commit : repo->commits)
      if (commits.contains(commit.commit))
        if (auto by = loaded.of(*repo, commit); !by.empty())
          throw Error(ErrorCode::unavailable, label(repo->id) + "@" + commit.commit.substr(0, 12),
                      "is loaded by " + in_words(by),
                      "end it first, or give --force: what is loaded lives in memory and goes on");
}

ordered_json describe(const std::vector<Target>& targets, std::uint64_t bytes, bool dry_run) {
  ordered_json list = ordered_json::array();
  for (const auto& [repo, commits] : targets) {
    ordered_json gone = ordered_json::array();
    for (const CachedCommit& commit : repo->commits)
      if (commits.contains(commit.commit))
        gone.push_back({{"commit", commit.commit}, {"refs", commit.refs}, {"bytes", commit.bytes}});
    list.push_back({{"repo", repo->id.name},
                    {"repo_type", repo_type(repo->id)},
                    {"commits", gone},
                    {"whole_repo", commits.size() == repo->commits.size()}});
  }
  return {{"removed", list}, {"bytes_freed", bytes}, {"dry_run", dry_run}};
}

void print(const std::vector<Target>& targets, std::uint64_t bytes) {
  for (const auto& [repo, commits] : targets) {
    const bool whole = commits.size() == repo->commits.size();
    fmt::print("{}{}{}\n", styled(printable(repo->id.name), Style::bold),
               repo->id.kind == RepoKind::model ? "  model" : "", whole ? "  the whole repo" : "");
    for (const CachedCommit& commit : repo->commits)
      if (commits.contains(commit.commit))
        fmt::print(
            "  {}  {}  {}, used {}\n", printable(commit.commit.substr(0, 12)),
            commit.refs.empty() ? "(no ref)" : printable(fmt::format("{}", fmt::join(commit.refs, ", "))),
            in_bytes(commit.bytes), how_long_ago(commit.last_used));
    if (const std::size_t left = repo->commits.size() - commits.size())
      fmt::print("  {} of its commits stay{}, with the blobs they share\n", left, left == 1 ? "s" : "");
  }
  fmt::print("{} to be freed\n", in_bytes(bytes));
  std::fflush(stdout);
}

bool confirmed(bool json) {
  if (json || !isatty(STDIN_FILENO))
    throw Error(ErrorCode::invalid_argument, "graft rm", "there is nobody to ask whether to remove this",
                "give --yes, or --dry-run to see what would go");
  fmt::print(stderr, "remove? [y/N] ");
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

Removed remove(const std::vector<Target>& targets, const CacheOptions& options) {
  Interrupt interrupt;
  const HubOptions hub = hub_options(options);
  Removed removed;
  for (const auto& [repo, commits] : targets)
    if (!removed.stopped)
      removed += remove_commits(hub, *repo, {commits.begin(), commits.end()}, {.stop = interrupt.token()});
  return removed;
}

int rm(const RmOptions& options, bool json) {
  const CacheContents cached = scan_cache(options.cache);
  const std::vector<Target> targets = find_targets(options, cached.repos);
  if (!options.force) refuse_loaded(targets, options.cache);
  std::vector<CommitId> commits;
  for (const Target& target : targets)
    for (const std::string& commit : target.commits) commits.push_back({target.repo->id, commit});
  const std::uint64_t expected = bytes_freed(cached.repos, commits);
  if (!json) print(targets, expected);
  if (options.dry_run) {
    if (json) print_json(describe(targets, expected, true));
    return kDone;
  }
  if (!options.yes && !confirmed(json)) {
    fmt::print("nothing was removed\n");
    return kFailed;
  }
  const Removed removed = remove(targets, options.cache);
  if (json) {
    ordered_json described = describe(targets, removed.bytes, false);
    described["kept"] = removed.kept;
    described["interrupted"] = removed.stopped;
    print_json(described);
  } else {
    fmt::print("{} freed\n", in_bytes(removed.bytes));
    for (const std::string& kept : removed.kept) fmt::print("  kept {}\n", printable(kept));
    if (removed.stopped) fmt::print(stderr, "interrupted; graft gc clears away what is left\n");
  }
  return removed.stopped ? Interrupt::kExit : int{kDone};
}

}  // namespace

void add_rm(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "rm", "Remove kernels or models, or some of their commits, from the cache",
                  "graft rm kernels-community/activation@v1.0.0\n"
                  "  graft rm Qwen/Qwen3-0.6B --repo-type model --dry-run");
  command->footer(command->get_footer() +
                  "\nA commit goes with the refs that name it and the blobs that no other commit of its repo "
                  "needs. What a process\n"
                  "has loaded (graft ls --help says whose can be seen) goes with --force alone; that does "
                  "the process no harm.");
  auto options = std::make_shared<RmOptions>();
  command->add_option("REPO", options->refs, "org/name[@branch, tag or commit]")->required();
  command
      ->add_option("--repo-type", options->cache.repo_type,
                   "kernel or model (default: kernels of either kind)")
      ->check(CLI::IsMember({"kernel", "model"}));
  command->add_option("--cache-dir", options->cache.cache_dir, "instead of HF_HUB_CACHE and KERNELS_CACHE");
  command->add_flag("--yes,-y", options->yes, "do not ask");
  command->add_flag("--dry-run", options->dry_run, "only show what would go");
  command->add_flag("--force", options->force,
                    "also what a process has loaded: that lives in memory, and goes on");
  command->callback([&line, options] { line.action = [&line, options] { return rm(*options, line.json); }; });
}

}  // namespace graft
