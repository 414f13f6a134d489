#include "repos.h"

#include "graft/error.h"
#include "graft/tree.h"
#include "refusal.h"
#include "route.h"

namespace graft::server {
namespace fs = std::filesystem;

Repos::Repos(const fs::path& root) : hub_(open_hub("file://" + fs::absolute(root).string())) {}

std::string Repos::default_commit(const RepoId& repo) {
  Refs refs = hub_->refs(repo);
  if (auto main = refs.branches.find("main"); main != refs.branches.end()) return main->second;
  if (!refs.branches.empty()) return refs.branches.begin()->second;
  if (!refs.tags.empty()) return refs.tags.begin()->second;
  throw revision_not_found(repo, "main");
}

FoundRevision Repos::find(const RepoId& repo, const std::vector<std::string>& pieces, bool needs_path) {
  Refs refs = hub_->refs(repo);
  for (std::size_t count = pieces.size() - (needs_path ? 1 : 0); count > 0; --count) {
    auto end = pieces.begin() + static_cast<std::ptrdiff_t>(count);
    std::string name = join_path(pieces.begin(), end), path = join_path(end, pieces.end());
    if (auto tag = refs.tags.find(name); tag != refs.tags.end()) return {tag->second, path};
    if (auto branch = refs.branches.find(name); branch != refs.branches.end()) return {branch->second, path};
  }
  if (!has_commit(repo, pieces[0])) throw revision_not_found(repo, pieces[0]);
  return {pieces[0], join_path(pieces.begin() + 1, pieces.end())};
}

bool Repos::has_commit(const RepoId& repo, const std::string& commit) try {
  folder(repo, commit);
  return true;
} catch (const Error& e) {
  if (e.code() == ErrorCode::io) throw;
  return false;
}

fs::path Repos::folder(const RepoId& repo, const std::string& commit) {
  return hub_->fetch(repo, {commit, commit}, {});
}

fs::path Repos::file(const RepoId& repo, const std::string& commit, const std::string& path) {
  check_inside(path);
  fs::path folder = this->folder(repo, commit), file = folder / path;
  for (const fs::path& piece : fs::path(path))
    if (piece == ".git") throw entry_not_found(commit, path);  // a working copy's history
  std::error_code error;
  if (!fs::is_regular_file(file, error)) throw entry_not_found(commit, path);
  check_within(file, folder);
  return file;
}

}  // namespace graft::server
