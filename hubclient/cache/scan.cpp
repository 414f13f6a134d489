// What the cache holds: folders, links and times, as huggingface_hub's scan sees them.
#include "scan.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "folder_walk.h"
#include "graft/error.h"
#include "repo_cache.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

CacheTime time_of(const timespec& time) {
  return CacheTime(std::chrono::duration_cast<CacheTime::duration>(std::chrono::seconds(time.tv_sec) +
                                                                   std::chrono::nanoseconds(time.tv_nsec)));
}

struct Blob {
  DiskFile disk;
  CacheTime used, modified;
};

Blob blob_of(const struct stat& status) {
  // Where access times are not kept, a file's stays older than its bytes.
  CacheTime read = time_of(status.st_atim), written = time_of(status.st_mtim);
  return {{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size)},
          std::max(read, written),
          written};
}

/// What a blob's name stands for: its own bytes, or those in the cache's shared store. Nothing for a link
/// elsewhere.
std::optional<Blob> read_blob(const fs::path& root, const fs::path& file) {
  struct stat status {};
  if (lstat(file.c_str(), &status) != 0) return std::nullopt;
  if (S_ISLNK(status.st_mode)) {
    fs::path target = target_of_link(file);
    if (!is_same_folder(target.parent_path().parent_path(), root / "blobs") ||
        lstat(target.c_str(), &status) != 0)
      return std::nullopt;
  }
  return S_ISREG(status.st_mode) ? std::optional(blob_of(status)) : std::nullopt;
}

/// The name that a broken download's file, "<blob>.incomplete", "<blob>.1f2e3d4c.incomplete" or
/// ".<blob>.shared", has of its blob; empty for a whole blob's.
std::string unfinished_blob(const std::string& name) {
  if (name.starts_with('.')) return name.substr(1, name.find('.', 1) - 1);
  return name.ends_with(".incomplete") ? name.substr(0, name.find('.')) : "";
}

class RepoScan {
 public:
  RepoScan(const fs::path& root, RepoId id, const fs::path& folder) : root_(root) {
    repo_.id = std::move(id);
    repo_.folder = folder;
  }

  CachedRepo run() {
    for (const fs::path& file : entries(repo_.folder / "blobs"))
      if (auto blob = read_blob(root_, file)) {
        blobs_[file.filename()] = *blob;
        names_[blob->disk] = file.filename();
      }
    for (const fs::path& snapshot : entries(repo_.folder / "snapshots"))
      if (is_folder(snapshot)) read_commit(snapshot);
    read_refs();
    find_leftovers();
    for (const DiskFile& file : disk_) repo_.bytes += file.size;
    return std::move(repo_);
  }

 private:
  void read_commit(const fs::path& snapshot) {
    CachedCommit commit{.commit = snapshot.filename()};
    std::set<DiskFile> disk;
    struct stat status {};
    if (lstat(snapshot.c_str(), &status) == 0) commit.fetched = time_of(status.st_mtim);
    walk_folder(snapshot, [&](const fs::path& file) {
      CachedFile found{.path = file.lexically_relative(snapshot).generic_string(), .blob = {}, .disk = {}};
      if (lstat(file.c_str(), &status) != 0) return;
      commit.fetched = std::max(commit.fetched, time_of(status.st_mtim));
      std::optional<Blob> blob;
      if (S_ISREG(status.st_mode)) {
        blob = blob_of(status);
        // Without links, snapshots hold second names for blobs, or copies.
        if (auto it = names_.find(blob->disk); it != names_.end()) found.blob = it->second;
      } else if (fs::path target = target_of_link(file);
                 is_same_folder(target.parent_path(), repo_.folder / "blobs")) {
        found.blob = target.filename();
        if (auto it = blobs_.find(found.blob); it != blobs_.end()) blob = it->second;
      }
      if (blob) {
        found.disk = blob->disk;
        disk.insert(blob->disk);
        commit.last_used = std::max(commit.last_used, blob->used);
      }
      linked_.insert(found.blob);
      commit.files.push_back(std::move(found));
    });
    if (disk.empty()) commit.last_used = commit.fetched;
    for (const DiskFile& file : disk) commit.bytes += file.size;
    disk_.insert(disk.begin(), disk.end());
    std::sort(commit.files.begin(), commit.files.end(),
              [](const CachedFile& a, const CachedFile& b) { return a.path < b.path; });
    repo_.commits.push_back(std::move(commit));
  }

  void read_refs() {
    const fs::path top = repo_.folder / "refs";
    if (is_folder(top))
      walk_folder(top, [&](const fs::path& file) {
        const std::string named = commit_in(file);
        for (CachedCommit& commit : repo_.commits)
          if (commit.commit == named) commit.refs.push_back(file.lexically_relative(top).generic_string());
      });
    for (CachedCommit& commit : repo_.commits) std::sort(commit.refs.begin(), commit.refs.end());
  }

  void find_leftovers() {
    for (const fs::path& file : entries(repo_.folder / "blobs")) {
      std::string name = file.filename(), unfinished = unfinished_blob(name);
      if (unfinished.empty() && linked_.contains(name)) continue;
      add_leftover(file, unfinished.empty() ? name : unfinished, !unfinished.empty());
    }
    for (const fs::path& file : entries(repo_.folder))
      if (file.filename().string().starts_with(".graft-")) add_leftover(file, "", true);
  }

  void add_leftover(const fs::path& file, std::string blob, bool unfinished) {
    struct stat status {};
    if (lstat(file.c_str(), &status) != 0) return;
    Leftover leftover{file, {}, time_of(status.st_mtim), std::move(blob), unfinished};
    if (auto bytes = read_blob(root_, file)) leftover.disk = bytes->disk;
    disk_.insert(leftover.disk);
    repo_.leftovers.push_back(std::move(leftover));
  }

  fs::path root_;
  CachedRepo repo_;
  std::map<std::string, Blob> blobs_;
  std::map<DiskFile, std::string> names_;  // of blobs_
  std::set<std::string> linked_;
  std::set<DiskFile> disk_;
};

}  // namespace

CachedRepo scan_repo(const fs::path& root, const RepoId& id, const fs::path& folder) {
  return RepoScan(root, id, folder).run();
}

CacheContents scan_cache(const HubOptions& options, RepoKind kind) {
  CacheContents contents;
  const std::string prefix = kind == RepoKind::kernel ? "kernels--" : "models--";
  std::error_code error;
  const fs::path root = fs::canonical(cache_root(options, kind), error);  // the cache itself may be a link
  if (error) return contents;
  for (const fs::path& folder : entries(root)) {
    std::string name = folder.filename();
    if (!name.starts_with(prefix)) continue;
    name.erase(0, prefix.size());
    std::size_t dashes = name.find("--");
    if (dashes == name.npos) continue;  // "gpt2": no repo that Graft names
    name = name.substr(0, dashes).append(1, '/').append(name, dashes + 2);
    if (!is_folder(folder)) {
      contents.notes.push_back(folder.string() + " is a link or no folder, and is left alone");
      continue;
    }
    try {
      check_repo_name(name);
      contents.repos.push_back(scan_repo(root, {kind, name}, folder));
    } catch (const Error& e) {
      contents.notes.push_back(e.what());
    }
  }
  std::sort(contents.repos.begin(), contents.repos.end(),
            [](const CachedRepo& a, const CachedRepo& b) { return a.id.name < b.id.name; });
  return contents;
}

std::uint64_t bytes_on_disk(const std::vector<CachedRepo>& repos) {
  std::set<DiskFile> disk;
  for (const CachedRepo& repo : repos) {
    for (const CachedCommit& commit : repo.commits)
      for (const CachedFile& file : commit.files) disk.insert(file.disk);
    for (const Leftover& leftover : repo.leftovers) disk.insert(leftover.disk);
  }
  std::uint64_t bytes = 0;
  for (const DiskFile& file : disk) bytes += file.size;
  return bytes;
}

}  // namespace graft
