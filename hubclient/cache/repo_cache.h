// RepoCache: one repo in huggingface_hub's cache, which Graft and Python share.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft {

///   <cache>/kernels--org--name/ (models--org--name/)
///     blobs/<etag>               a file's bytes, by SHA-256 (LFS) or git's SHA-1
///     refs/<branch or tag>       the commit, 40 hex digits
///     snapshots/<commit>/…       that commit's files as links to blobs; copies where there are no links
///     trees/<commit>.json        that commit's whole listing
///     .no_exist/<commit>/<path>  what was asked for and is not there
///   <cache>/.locks/kernels--org--name/<etag>.lock
/// Nothing is made before something is written. Thread-safe: it holds paths alone.
class RepoCache {
 public:
  RepoCache(const HubOptions& options, const RepoId& repo);

  const std::filesystem::path& root() const { return root_; }    // <cache>
  const std::filesystem::path& folder() const { return folder_; }  // <cache>/kernels--org--name
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }

  /// The lock of a blob; its folders are made.
  std::filesystem::path lock(const std::string& etag) const;

  /// Makes what is above blobs, and CACHEDIR.TAG for backup programs. Throws Error(io), Error(disk_full).
  void make_folders() const;

  /// Throws Error(disk_full) if `bytes` more do not fit.
  void check_space(std::uint64_t bytes) const;

  std::optional<std::string> ref(const std::string& name) const;
  std::map<std::string, std::string> refs() const;

  // What is not written for want of permission or space is no failure: it is asked for again.
  void write_ref(const std::string& name, const std::string& commit) const;
  void write_tree(const std::string& commit, const std::vector<HubFile>& files) const;
  void remember_missing(const std::string& commit, const std::string& path) const;

  /// A commit's listing; nullopt if it is not kept, or not readable as one.
  std::optional<std::vector<HubFile>> tree(const std::string& commit) const;

  /// The files that the snapshot holds, sorted by path, for a cache without a listing: of an older
  /// huggingface_hub, or of a part of the commit. Hashes are the links' own; copies are hashed.
  std::vector<HubFile> files_here(const std::string& commit) const;

  /// Whether the snapshot holds the file, whole: as a link to the very blob, or as a copy of its size.
  bool has(const std::string& commit, const HubFile& file) const;

  /// The ETag of what the snapshot's link stands for; "" for a copy, or nothing.
  std::string linked_etag(const std::string& commit, const std::string& path) const;

  /// The blob is there (perhaps as a link to a shared one) and of the file's size.
  bool has_blob(const HubFile& file) const;

  /// Puts the blob's file into the snapshot. Throws Error: corrupt if a folder on the way is a link, io.
  void link(const std::string& commit, const HubFile& file) const;

  bool known_missing(const std::string& commit, const std::string& path) const;

 private:
  std::filesystem::path root_, folder_;
  bool symlinks_;
};

/// The cache's folder for repos of a kind.
const std::filesystem::path& cache_root(const HubOptions& options, RepoKind kind);

/// The repos of a kind of which the cache has a snapshot, sorted by name.
std::vector<std::string> cached_repos(const HubOptions& options, RepoKind kind);

}  // namespace graft
