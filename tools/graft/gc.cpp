// graft gc: the cache within a size or an age, and what nobody needs out of it.
#include <fmt/format.h>

#include <functional>
#include <optional>

#include "cached.h"
#include "command.h"
#include "graft/error.h"
#include "interrupt.h"
#include "quantities.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::hours kBroken{24};  // until then, a broken download may be gone on with

struct GcOptions {
  CacheOptions cache;
  std::string max_size, max_age, min_age = "1h";
  bool dry_run = false;
};

const CachedRepo& repo_of(const CommitId& id, const std::vector<CachedRepo>& repos) {
  for (const CachedRepo& repo : repos)
    if (repo.id == id.repo) return repo;
  throw Error(ErrorCode::internal, label(id.repo), "was planned for, and is not in the cache");
}

const CachedCommit& commit_of(const CommitId& id, const std::vector<CachedRepo>& repos) {
  for (const CachedCommit& commit : repo_of(id, repos).commits)
    if (commit.commit == id.commit) return commit;
  throw Error(ErrorCode::internal, label(id.repo), "has no commit " + id.commit);
}

CleaningPlan plan(const GcOptions& options, const std::vector<CachedRepo>& repos) {
  const LoadedWhere loaded(options.cache);
  CleaningRules rules;
  if (!options.max_size.empty()) rules.max_bytes = parse_size(options.max_size);
  if (!options.max_age.empty()) rules.max_age = parse_age(options.max_age);
  rules.min_age = parse_age(options.min_age);
  rules.in_use = [&](const CommitId& id) {
    return !loaded.of(repo_of(id, repos), commit_of(id, repos)).empty();
  };
  return plan_cleaning(repos, rules);
}

/// Leftovers that are old enough, whole blobs at any age.
std::vector<Leftover> old_leftovers(const std::vector<CachedRepo>& repos) {
  std::vector<Leftover> found;
  for (const CachedRepo& repo : repos)
    for (const Leftover& leftover : repo.leftovers)
      if (!leftover.unfinished || leftover.modified <= std::chrono::system_clock::now() - kBroken)
        found.push_back(leftover);
  return found;
}

struct Cleaned : Removed {
  std::optional<Error> failure;  // the first; a cache may hold repos of other users
};

/// What would be freed, as if done.
Cleaned foresee(const CleaningPlan& plan, const std::vector<CachedRepo>& repos) {
  Cleaned removed;
  removed.commits = plan.remove;
  std::vector<CachedRepo> after = repos;
  for (CachedRepo& repo : after)
    std::erase_if(repo.leftovers, [](const Leftover& leftover) {
      return !leftover.unfinished || leftover.modified <= std::chrono::system_clock::now() - kBroken;
    });
  removed.leftovers = old_leftovers(repos).size();
  removed.bytes = bytes_on_disk(repos) - bytes_on_disk(after) + bytes_freed(after, plan.remove);
  return removed;
}

Cleaned clean(const CleaningPlan& plan, const std::vector<CachedRepo>& repos, const HubOptions& hub) {
  Interrupt interrupt;
  const RemoveOptions how{.stop = interrupt.token(), .unless_used = true};
  Cleaned cleaned;
  auto go_on_after_failure = [&](const std::function<Removed()>& step) {
    if (!cleaned.stopped) try {
        cleaned += step();
      } catch (const Error& e) {
        if (!cleaned.failure) cleaned.failure = e;
      }
  };
  for (const CachedRepo& repo : repos)
    go_on_after_failure([&] { return remove_leftovers(hub, repo, kBroken, how); });
  for (const CommitId& id : plan.remove)
    go_on_after_failure([&] { return remove_commits(hub, repo_of(id, repos), {id.commit}, how); });
  return cleaned;
}

ordered_json describe(const CommitId& id, const std::vector<CachedRepo>& repos) {
  const CachedCommit& commit = commit_of(id, repos);
  return {{"repo", id.repo.name},  {"repo_type", repo_type(id.repo)},
          {"commit", id.commit},   {"refs", commit.refs},
          {"bytes", commit.bytes}, {"last_used", iso_time(commit.last_used)}};
}

ordered_json describe(const CleaningPlan& plan, const Removed& done, const std::vector<CachedRepo>& repos) {
  auto list = [&](const std::vector<CommitId>& commits) {
    ordered_json described = ordered_json::array();
    for (const CommitId& id : commits) described.push_back(describe(id, repos));
    return described;
  };
  return {{"removed", list(done.commits)}, {"leftovers", done.leftovers}, {"bytes_freed", done.bytes},
          {"loaded", list(plan.in_use)},   {"young", list(plan.young)},   {"kept", done.kept},
          {"interrupted", done.stopped}};
}

void print(const GcOptions& options, const CleaningPlan& plan, const Removed& done,
           const std::vector<CachedRepo>& repos) {
  const char* removed = options.dry_run ? "would remove" : "removed";
  for (const CommitId& id : done.commits) {
    const CachedCommit& commit = commit_of(id, repos);
    fmt::print("{} {}  {}  {}, used {}\n", removed, styled(printable(id.repo.name), Style::bold),
               printable(id.commit.substr(0, 12)), in_bytes(commit.bytes), how_long_ago(commit.last_used));
  }
  if (done.leftovers > 0)
    fmt::print("{} {} leftover{} of broken downloads\n", removed, done.leftovers,
               done.leftovers == 1 ? "" : "s");
  auto stays = [&](const std::vector<CommitId>& commits, const std::string& why) {
    for (const CommitId& id : commits)
      fmt::print("kept {}  {}: {}\n", printable(id.repo.name), printable(id.commit.substr(0, 12)), why);
  };
  stays(plan.in_use, "it is loaded (graft ls says by whom)");
  stays(plan.young, "it came less than " + options.min_age + " ago (--min-age)");
  for (const std::string& kept : done.kept) fmt::print("kept {}\n", printable(kept));
  fmt::print("{} {}\n", in_bytes(done.bytes), options.dry_run ? "to be freed" : "freed");
}

int gc(const GcOptions& options, bool json) {
  const CacheContents before = scan_cache(options.cache);
  const CleaningPlan planned = plan(options, before.repos);
  const Cleaned done = options.dry_run ? foresee(planned, before.repos)
                                       : clean(planned, before.repos, hub_options(options.cache));
  if (done.failure && done.commits.empty() && done.leftovers == 0) throw Error(*done.failure);
  const std::uint64_t bytes_before = bytes_on_disk(before.repos);
  const std::uint64_t after =
      options.dry_run ? bytes_before - done.bytes : bytes_on_disk(scan_cache(options.cache).repos);
  const bool within = options.max_size.empty() || after <= parse_size(options.max_size);
  if (json) {
    ordered_json described = describe(planned, done, before.repos);
    described["bytes"] = after;
    described["within_limit"] = within;
    described["dry_run"] = options.dry_run;
    described["error"] = done.failure ? ordered_json(done.failure->what()) : ordered_json();
    print_json(described);
  } else {
    print(options, planned, done, before.repos);
    fmt::print("the cache {} {}{}\n", options.dry_run ? "would then take" : "takes", in_bytes(after),
               within ? "" : ", more than " + options.max_size);
    if (done.stopped) fmt::print(stderr, "interrupted; run it again to go on\n");
  }
  if (done.failure && !json) throw Error(*done.failure);
  if (done.failure) return kFailed;
  return done.stopped ? Interrupt::kExit : int{kDone};
}

}  // namespace

void add_gc(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(
      app, line, "gc", "Remove from the cache what was not used for longest, to fit a size or an age",
      "graft gc --max-size 10GB\n  graft gc --max-age 30d --all --dry-run");
  command->footer(command->get_footer() +
                  "\nWhole commits go, least recently used first; never one that a process has loaded. "
                  "Broken downloads older\n"
                  "than a day go, too, and blobs that no commit has; without a limit, these alone. Kernels "
                  "only, unless --all.");
  auto options = std::make_shared<GcOptions>();
  command->add_option("--max-size", options->max_size, "what the cache may take: 10GB, 500MiB, …");
  command->add_option("--max-age", options->max_age, "since a commit's last use: 30d, 12h, …");
  command->add_option("--min-age", options->min_age, "what was downloaded less than this ago stays")
      ->capture_default_str();
  add_cache_options(*command, options->cache);
  command->add_flag("--dry-run", options->dry_run, "only show what would go");
  command->callback([&line, options] { line.action = [&line, options] { return gc(*options, line.json); }; });
}

}  // namespace graft
