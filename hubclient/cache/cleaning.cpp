// Which commits to remove, and what that frees.
#include <algorithm>
#include <map>
#include <set>

#include "graft/cache.h"

namespace graft {
namespace {

/// How many commits and leftovers need each file on the disk.
class DiskUse {
 public:
  void add(const DiskFile& file) {
    if (users_[file]++ == 0) bytes_ += file.size;
  }
  void remove(const DiskFile& file) {
    if (--users_[file] == 0) bytes_ -= file.size;
  }
  void add(const CachedCommit& commit) {
    for (const DiskFile& file : files_of(commit)) add(file);
  }
  void remove(const CachedCommit& commit) {
    for (const DiskFile& file : files_of(commit)) remove(file);
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  static std::set<DiskFile> files_of(const CachedCommit& commit) {
    std::set<DiskFile> files;
    for (const CachedFile& file : commit.files) files.insert(file.disk);
    return files;
  }

  std::map<DiskFile, int> users_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::uint64_t bytes_freed(const std::vector<CachedRepo>& repos, const std::vector<CommitId>& commits) {
  DiskUse use;
  for (const CachedRepo& repo : repos) {
    for (const CachedCommit& commit : repo.commits) use.add(commit);
    for (const Leftover& leftover : repo.leftovers) use.add(leftover.disk);
  }
  const std::uint64_t before = use.bytes();
  for (const CachedRepo& repo : repos) {
    std::size_t left = repo.commits.size();
    for (const CachedCommit& commit : repo.commits)
      for (const CommitId& gone : commits)
        if (gone.repo == repo.id && gone.commit == commit.commit) {
          use.remove(commit);
          --left;
        }
    if (left == 0 && !repo.commits.empty())
      for (const Leftover& leftover : repo.leftovers) use.remove(leftover.disk);
  }
  return before - use.bytes();
}

CleaningPlan plan_cleaning(const std::vector<CachedRepo>& repos, const CleaningRules& rules, CacheTime now) {
  struct Candidate {
    const CachedRepo* repo;
    const CachedCommit* commit;
  };
  std::vector<Candidate> oldest_first;
  DiskUse use;
  for (const CachedRepo& repo : repos)
    for (const CachedCommit& commit : repo.commits) {
      oldest_first.push_back({&repo, &commit});
      use.add(commit);
    }
  std::stable_sort(oldest_first.begin(), oldest_first.end(), [](const Candidate& a, const Candidate& b) {
    return a.commit->last_used < b.commit->last_used;
  });

  CleaningPlan plan;
  for (const auto& [repo, commit] : oldest_first) {
    const bool too_old = rules.max_age && now - commit->last_used > *rules.max_age;
    const bool too_much = rules.max_bytes && use.bytes() > *rules.max_bytes;
    if (!too_old && !too_much) continue;
    CommitId id{repo->id, commit->commit};
    if (rules.in_use && rules.in_use(id)) {
      plan.in_use.push_back(std::move(id));
    } else if (now - commit->fetched < rules.min_age) {
      plan.young.push_back(std::move(id));
    } else {
      use.remove(*commit);
      plan.remove.push_back(std::move(id));
    }
  }
  plan.bytes_after = use.bytes();
  return plan;
}

void Removed::operator+=(const Removed& more) {
  commits.insert(commits.end(), more.commits.begin(), more.commits.end());
  kept.insert(kept.end(), more.kept.begin(), more.kept.end());
  bytes += more.bytes;
  leftovers += more.leftovers;
  stopped |= more.stopped;
}

}  // namespace graft
