// Removing from the cache, beside downloads that go on: refs, then snapshots, then the blobs that nobody has.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "blob_writer.h"
#include "file_lock.h"
#include "folder_walk.h"
#include "os_error.h"
#include "repo_cache.h"
#include "scan.h"
#include "scratch_name.h"
#include "shared_blobs.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLocksAtOnce = 64;  // files; for each batch the snapshots are looked through once
constexpr std::chrono::minutes kBegun{1};     // the time between a download's first two steps, by far
constexpr std::chrono::hours kWithoutLocks{24};  // where nobody can say that he is at a blob, its age does

[[noreturn]] void fail(const fs::path& file, int number) {
  throw Error(ErrorCode::io, "cache " + file.string(),
              std::string("cannot be changed: ") + std::strerror(number),
              "run this as the user who owns the cache, or name another one: --cache-dir");
}

bool may_write(const fs::path& folder) {
  return faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

void check_writable(const fs::path& folder) {
  if (is_folder(folder) && !may_write(folder)) fail(folder, errno);
}

/// Whether there was something to remove. Links are removed themselves; what they lead to is not looked at.
bool remove_file(const fs::path& file) {
  if (unlink(file.c_str()) == 0) return true;
  if (errno != ENOENT) fail(file, errno);
  return false;
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  // Not empty: a download put something there meanwhile, which stays.
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::directory_not_empty) fail(path, error.value());
}

/// The folder if it is empty, and those above it below `top`.
void remove_empty(fs::path folder, const fs::path& top) {
  while (folder != top && rmdir(folder.c_str()) == 0) folder = folder.parent_path();
}

class RepoRemoval {
 public:
  RepoRemoval(const HubOptions& options, const CachedRepo& repo, const RemoveOptions& remove)
      : cache_(options, repo.id),
        folder_(repo.folder),
        root_(repo.folder.parent_path()),
        repo_(repo),
        remove_(remove) {
    for (const char* part : {"", "blobs", "snapshots", "refs"})
      check_writable(*part ? folder_ / part : folder_);
    cache_.lock("");  // makes the folder of locks, or fails before anything is removed
  }

  /// Refs first: none names a commit that is not there, which Python takes for a broken cache.
  void remove_commit(const std::string& commit) {
    const CachedCommit* seen = nullptr;
    for (const CachedCommit& each : repo_.commits)
      if (each.commit == commit) seen = &each;
    if (!seen || (remove_.unless_used && was_used(*seen))) return;
    for (const fs::path& ref : refs_of(commit)) {
      remove_file(ref);
      remove_empty(ref.parent_path(), folder_ / "refs");
    }
    // In one step, so that nobody finds half a snapshot and takes it for the whole.
    if (!is_own("snapshots")) return;
    const fs::path aside = folder_ / (".graft-" + scratch_name());
    if (rename((folder_ / "snapshots" / commit).c_str(), aside.c_str()) == 0) {
      walk_folder(aside, [this](const fs::path& copy) { count_copy(copy); });
      remove_tree(aside);
    } else if (errno != ENOENT) {
      fail(folder_ / "snapshots" / commit, errno);
    }
    if (is_own("trees")) remove_file(folder_ / "trees" / (commit + ".json"));
    if (is_own(".no_exist")) remove_tree(folder_ / ".no_exist" / commit);
    done_.commits.push_back({repo_.id, commit});
    for (const CachedFile& file : seen->files)
      if (!file.blob.empty()) candidates_.insert(file.blob);
  }

  void remove_blobs() {
    const std::set<std::string> candidates = std::exchange(candidates_, {});
    if (!is_own("blobs")) return;
    for (auto it = candidates.begin(); it != candidates.end() && !stopped();) {
      std::map<std::string, std::unique_ptr<FileLock>> locks;
      for (; it != candidates.end() && locks.size() < kLocksAtOnce; ++it)
        if (auto lock = FileLock::try_take(cache_.lock(*it)))
          locks.emplace(*it, std::move(lock));
        else
          keep("blob " + *it, "a download is at it");
      // Whoever has a lock links what it guards before he lets go of it: what is not linked now stays so.
      const std::set<std::string> linked = linked_blobs();
      for (const auto& [blob, lock] : locks)
        if (!linked.contains(blob)) remove_blob(folder_ / "blobs" / blob, lock->held());
    }
  }

  void remove_leftovers(std::chrono::seconds age) {
    const CacheTime limit = std::chrono::system_clock::now() - age;
    for (const Leftover& leftover : repo_.leftovers) {
      if (stopped()) return;
      if (!leftover.unfinished) {
        candidates_.insert(leftover.blob);
      } else if (leftover.modified <= limit) {
        remove_unfinished(leftover);
      }
    }
    remove_blobs();
    if (repo_.commits.empty() && entries(folder_ / "blobs").empty()) remove_folder();
  }

  /// The folder of a repo of which nothing is left. Whatever somebody puts there meanwhile stays.
  void remove_folder() {
    if (stopped() || !entries(folder_ / "snapshots").empty()) return;
    for (const Leftover& leftover : repo_.leftovers)
      if (leftover.unfinished)
        remove_unfinished(leftover);
      else
        candidates_.insert(leftover.blob);
    remove_blobs();
    // A download that waits for one of these makes the folder anew; one that has one is at it.
    std::vector<std::unique_ptr<FileLock>> locks;
    for (const fs::path& file : entries(cache_.lock("").parent_path())) {
      locks.push_back(FileLock::try_take(file));
      if (!locks.back()) return;
    }
    // A folder without snapshots/ that stays is a broken repo to Python.
    if (!may_write(root_)) return keep("the empty folder", root_.string() + " cannot be written");
    if (!begun().empty()) return;
    // snapshots/ goes first: a download makes its commit's folder there before it waits for a lock, and then finds blobs/ as well.
    if (!entries(folder_ / "blobs").empty()) return;
    if (rmdir((folder_ / "snapshots").c_str()) != 0 && errno != ENOENT) return;
    if (rmdir((folder_ / "blobs").c_str()) != 0 && errno != ENOENT) {
      mkdir((folder_ / "snapshots").c_str(), 0777);
      return;
    }
    if (is_folder(folder_ / "snapshots")) {  // one has begun in between
      mkdir((folder_ / "blobs").c_str(), 0777);
      return;
    }
    for (const fs::path& rest : entries(folder_))
      if (rest.filename() != "blobs" && rest.filename() != "snapshots") remove_tree(rest);
    rmdir(folder_.c_str());
  }

  Removed finish() {
    std::sort(done_.kept.begin(), done_.kept.end());
    return std::move(done_);
  }

  bool stopped() { return done_.stopped |= remove_.stop.stop_requested(); }

 private:
  void keep(const std::string& what, const std::string& why) {
    done_.kept.push_back(what + " of " + label(repo_.id) + ": " + why);
  }

  /// Commits whose listing or ref came just now. A download writes these before it looks for blobs or makes folders, so it may
  /// be at any step of that. What one that broke has left behind is older.
  std::set<std::string> begun() {
    const CacheTime limit = CacheTime::clock::now() - kBegun;
    std::set<std::string> commits;
    auto add = [&](const fs::path& file, const std::string& commit) {
      struct stat status {};
      if (is_commit(commit) && lstat(file.c_str(), &status) == 0 && CacheTime::clock::from_time_t(status.st_mtime) >= limit) commits.insert(commit);
    };
    walk_folder(folder_ / "trees", [&](const fs::path& listing) { add(listing, listing.stem()); });
    walk_folder(folder_ / "refs", [&](const fs::path& ref) { add(ref, commit_in(ref)); });
    return commits;
  }

  /// A folder of the repo's, not a link to one elsewhere.
  bool is_own(const char* part) const { return is_folder(folder_ / part); }

  bool was_used(const CachedCommit& seen) {
    for (const CachedCommit& now : scan_repo(root_, repo_.id, folder_).commits) {
      if (now.commit != seen.commit) continue;
      const bool used = now.last_used > seen.last_used || now.fetched > seen.fetched;
      if (used) keep("commit " + seen.commit, "it was used just now");
      return used;
    }
    return false;
  }

  std::vector<fs::path> refs_of(const std::string& commit) {
    std::vector<fs::path> refs;
    walk_folder(folder_ / "refs", [&](const fs::path& ref) {
      if (commit_in(ref) == commit) refs.push_back(ref);
    });
    return refs;
  }

  /// A snapshot's file that is no link, and no second name of a blob.
  void count_copy(const fs::path& file) {
    struct stat status {};
    if (lstat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1)
      done_.bytes += static_cast<std::uint64_t>(status.st_size);
  }

  /// With those that a download which has just begun is about to link: it may have seen them already, without a lock.
  std::set<std::string> linked_blobs() {
    std::set<std::string> linked;
    for (const std::string& commit : begun())
      for (const HubFile& file : cache_.tree(commit).value_or(std::vector<HubFile>())) linked.insert(etag_of(file));
    walk_folder(folder_ / "snapshots",
                [&](const fs::path& file) { linked.insert(target_of_link(file).filename()); });
    return linked;
  }

  void remove_blob(const fs::path& blob, bool locked) {
    struct stat status {};
    if (lstat(blob.c_str(), &status) != 0) return;
    if (status.st_nlink > 1) return;  // a snapshot without links has it by another name
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) return;
    if (!locked && CacheTime::clock::from_time_t(status.st_mtime) > CacheTime::clock::now() - kWithoutLocks)
      return keep("blob " + blob.filename().string(),
                  "this file system has no locks, and it came less than a day ago");
    const fs::path shared = shared_blob_of(root_, blob);
    if (!remove_file(blob)) return;
    if (S_ISREG(status.st_mode)) done_.bytes += static_cast<std::uint64_t>(status.st_size);
    if (!shared.empty()) done_.bytes += sweep_shared_blob(root_, shared);
    if (is_leftover(blob)) ++done_.leftovers;
  }

  bool is_leftover(const fs::path& file) const {
    return std::any_of(repo_.leftovers.begin(), repo_.leftovers.end(),
                       [&](const Leftover& leftover) { return leftover.file == file; });
  }

  void remove_unfinished(const Leftover& leftover) {
    struct stat status {};
    std::unique_ptr<FileLock> lock;
    if (!leftover.blob.empty() && !(lock = FileLock::try_take(cache_.lock(leftover.blob))))
      return keep("broken download of blob " + leftover.blob, "a download is at it");
    if (lstat(leftover.file.c_str(), &status) != 0) return;
    if (S_ISDIR(status.st_mode)) {
      walk_folder(leftover.file, [this](const fs::path& copy) { count_copy(copy); });
      remove_tree(leftover.file);
    } else if (remove_file(leftover.file) && S_ISREG(status.st_mode)) {
      done_.bytes += static_cast<std::uint64_t>(status.st_size);
    }
    ++done_.leftovers;
  }

  RepoCache cache_;
  fs::path folder_, root_;
  const CachedRepo& repo_;
  const RemoveOptions& remove_;
  std::set<std::string> candidates_;  // blobs that may go
  Removed done_;
};

}  // namespace

Removed remove_commits(const HubOptions& options, const CachedRepo& repo,
                       const std::vector<std::string>& commits, const RemoveOptions& remove) {
  RepoRemoval removal(options, repo, remove);
  for (const std::string& commit : commits)
    if (!removal.stopped()) removal.remove_commit(commit);
  removal.remove_blobs();
  if (!commits.empty() || repo.commits.empty()) removal.remove_folder();
  return removal.finish();
}

Removed remove_leftovers(const HubOptions& options, const CachedRepo& repo, std::chrono::seconds age,
                         const RemoveOptions& remove) {
  if (repo.leftovers.empty()) return {};
  RepoRemoval removal(options, repo, remove);
  removal.remove_leftovers(age);
  return removal.finish();
}

}  // namespace graft
