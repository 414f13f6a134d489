// What the cache that Graft and Python's huggingface_hub share holds on this machine, and how it is made
// smaller.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft {

using CacheTime = std::chrono::system_clock::time_point;

/// Which bytes of a disk a name stands for: links to one blob are the same ones.
struct DiskFile {
  std::uint64_t device = 0, inode = 0;
  std::uint64_t size = 0;  // bytes
  auto operator<=>(const DiskFile&) const = default;
};

struct CachedFile {
  std::string path;  // inside the repo: "build/graft1-cpu-x86_64-linux/norm.so"
  std::string blob;  // its name in blobs/; empty where the snapshot holds a copy
  DiskFile disk;     // all zero for a link that leads out of the cache, or to nothing
};

/// One commit's snapshot, as far as it was downloaded.
struct CachedCommit {
  std::string commit;                  // 40 hex digits
  std::vector<std::string> refs = {};  // branches and tags that name it, sorted
  std::vector<CachedFile> files = {};  // sorted by path
  std::uint64_t bytes = 0;  // on disk, each blob once, those shared with other commits and repos included

  /// The newest time at which one of its blobs was read or, where the file system does not say so, written.
  /// A blob that several commits have counts for each.
  CacheTime last_used = {};
  CacheTime fetched = {};  // when the newest of its files came into the snapshot
};

/// What no snapshot needs: a broken download's beginning, a blob without a link to it, a half removed
/// snapshot.
struct Leftover {
  std::filesystem::path file;
  DiskFile disk;
  CacheTime modified;
  std::string blob;        // the blob's name, whose lock says whether somebody is at it; empty: no blob's
  bool unfinished = true;  // false: a whole blob that no snapshot has
};

struct CachedRepo {
  RepoId id;
  std::filesystem::path folder;            // <cache>/kernels--org--name
  std::vector<CachedCommit> commits = {};  // sorted by commit
  std::vector<Leftover> leftovers = {};
  std::uint64_t bytes = 0;  // of its commits and leftovers, each blob once
};

struct CacheContents {
  std::vector<CachedRepo> repos;  // sorted by name
  std::vector<std::string>
      notes;  // what was left alone and why: a repo's folder that is a link, one that cannot be read
};

/// A commit of a repo.
struct CommitId {
  RepoId repo;
  std::string commit;
};

// All functions may be called from any thread, and while other processes, Graft's and Python's, download into
// the cache and remove from it. None follows a link out of the cache. All throw Error(io), which names the
// file and what to do.

/// The repos of a kind in the cache: of options.kernels_cache_dir or cache_dir. No file's bytes are read.
CacheContents scan_cache(const HubOptions& options, RepoKind kind);

/// What `repos` take on disk, each blob once, also where repos share it.
std::uint64_t bytes_on_disk(const std::vector<CachedRepo>& repos);

/// What removing `commits` would free: the bytes that no other commit of `repos` needs, and the leftovers of
/// repos of which no commit stays.
std::uint64_t bytes_freed(const std::vector<CachedRepo>& repos, const std::vector<CommitId>& commits);

struct RemoveOptions {
  /// A request to stop ends the call between two files; each commit is by then there as it was, or gone. What
  /// is left of its blobs is a Leftover.
  std::stop_token stop = {};

  /// Leave a commit alone that was used or added to since `repo` was scanned.
  bool unless_used = false;
};

struct Removed {
  std::vector<CommitId> commits;
  std::uint64_t bytes = 0;        // freed on disk
  std::size_t leftovers = 0;      // files
  std::vector<std::string> kept;  // what stayed and why, in words
  bool stopped = false;           // by RemoveOptions::stop

  void operator+=(const Removed& more);
};

/// Removes commits of a scanned repo: refs that name them, then the snapshot, in one step, its listing, and
/// the blobs that no other commit of the repo needs. With the last commit the repo's folder goes, and what
/// broken downloads left in it. A blob goes under its lock, as a download takes it, and only if no snapshot
/// has it by then; one that a download holds stays. Throws Error(io) where the cache cannot be written:
/// nothing is removed then.
Removed remove_commits(const HubOptions& options, const CachedRepo& repo,
                       const std::vector<std::string>& commits, const RemoveOptions& remove = {});

/// Removes what is unfinished and older than `age`, and blobs that no snapshot has, unless a download holds
/// their lock.
Removed remove_leftovers(const HubOptions& options, const CachedRepo& repo, std::chrono::seconds age,
                         const RemoveOptions& remove = {});

struct CleaningRules {
  std::optional<std::uint64_t> max_bytes;       // of all repos together
  std::optional<std::chrono::seconds> max_age;  // since the last use
  std::chrono::seconds min_age{3600};  // what came less than that ago stays: somebody is about to use it
  std::function<bool(const CommitId&)> in_use;  // stays whatever the limits; empty: none is
};

struct CleaningPlan {
  std::vector<CommitId> remove;   // in this order
  std::vector<CommitId> in_use;   // would have gone, if they were not in use
  std::vector<CommitId> young;    // or came just now
  std::uint64_t bytes_after = 0;  // what `repos` then take, without leftovers
};

/// Which whole commits to remove so that `repos` keep to the rules: those not used for max_age, then the
/// least recently used first until the rest takes max_bytes at most. `now`: for tests.
CleaningPlan plan_cleaning(const std::vector<CachedRepo>& repos, const CleaningRules& rules,
                           CacheTime now = std::chrono::system_clock::now());

/// A process that has a file of the cache mapped: a model's weights, a library that Python loaded.
struct MappedBlob {
  int pid = 0;
  std::string program;  // "python3"
  DiskFile disk;        // the blob's, or the snapshot's copy's
};

/// Of the processes that this user may look at, by /proc; none where there is no /proc.
std::vector<MappedBlob> mapped_blobs(const std::filesystem::path& cache);

}  // namespace graft
