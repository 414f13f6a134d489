// Repos: the Hub's folder as the server needs it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft::server {

/// A revision found in an address, and what of the address follows it.
struct FoundRevision {
  std::string commit;
  std::string path;  // inside the repo; "" is its top
};

/// Any thread, at once.
class Repos {
 public:
  /// Throws Error(not_found) if there is no such folder.
  explicit Repos(const std::filesystem::path& root);

  bool has(const RepoId& repo) { return hub_->has(repo); }
  Refs refs(const RepoId& repo) { return hub_->refs(repo); }
  std::vector<HubFile> list(const RepoId& repo, const std::string& commit, const std::string& prefix) {
    return hub_->list(repo, commit, prefix);
  }

  /// The commit that a repo without a revision stands for: main, else its first branch or tag. Throws
  /// Refusal.
  std::string default_commit(const RepoId& repo);

  /// The longest tag or branch that `pieces` begin with, else a commit. `needs_path`: the last piece is no
  /// part of the revision. Throws Refusal if there is none.
  FoundRevision find(const RepoId& repo, const std::vector<std::string>& pieces, bool needs_path);

  /// Where a commit's files stand.
  std::filesystem::path folder(const RepoId& repo, const std::string& commit);

  /// A regular file of the commit. Throws Refusal (no such entry), Error(invalid_argument) for a path that
  /// tries to leave its folder.
  std::filesystem::path file(const RepoId& repo, const std::string& commit, const std::string& path);

 private:
  bool has_commit(const RepoId& repo, const std::string& commit);

  std::shared_ptr<Hub> hub_;
};

}  // namespace graft::server
