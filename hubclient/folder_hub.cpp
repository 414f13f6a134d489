#include "folder_hub.h"

#include <algorithm>
#include <fstream>

#include "graft/error.h"
#include "graft/tree.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

const char* folder_name(RepoKind kind) {
  return kind == RepoKind::kernel ? "kernels" : "models";
}

/// A repo that is being packed for the first time has commits/ before it has refs/.
bool is_working_copy(const fs::path& folder) {
  return !fs::exists(folder / "refs") && !fs::exists(folder / "commits");
}

std::vector<std::string> folders_in(const fs::path& parent) {
  std::vector<std::string> names;
  if (!fs::is_directory(parent)) return names;
  for (const fs::directory_entry& item : fs::directory_iterator(parent))
    if (item.is_directory()) names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, std::string> read_refs(const RepoId& repo, const fs::path& folder) {
  std::map<std::string, std::string> refs;
  if (!fs::is_directory(folder)) return refs;
  for (const HubFile& file : list_tree(folder, folder)) {
    std::ifstream in(folder / file.path);
    std::string commit;
    in >> commit;
    if (!is_commit(commit))
      throw Error(ErrorCode::corrupt, label(repo) + ", ref " + file.path, "holds no commit (40 hex digits)",
                  "pack the repo again: graft pack");
    refs.emplace(file.path, commit);
  }
  return refs;
}

}  // namespace

FolderHub::FolderHub(fs::path root) : root_(std::move(root)), endpoint_("file://" + root_.string()) {
  if (!fs::is_directory(root_))
    throw Error(ErrorCode::not_found, "hub " + endpoint_, "there is no such folder",
                "set HF_ENDPOINT=file:///path to a folder with kernels/<org>/<name>");
}

std::vector<std::string> FolderHub::repos(RepoKind kind) {
  std::vector<std::string> names;
  fs::path parent = root_ / folder_name(kind);
  for (const std::string& org : folders_in(parent))
    for (const std::string& name : folders_in(parent / org)) names.push_back(org + "/" + name);
  return names;
}

bool FolderHub::has(const RepoId& repo) {
  check_repo_name(repo.name);
  return fs::is_directory(root_ / folder_name(repo.kind) / repo.name);
}

Refs FolderHub::refs(const RepoId& repo) {
  fs::path folder = folder_of(repo);
  if (is_working_copy(folder)) return {{}, {{"main", content_commit(folder)}}};
  return {read_refs(repo, folder / "refs" / "tags"), read_refs(repo, folder / "refs" / "heads")};
}

std::vector<HubFile> FolderHub::list(const RepoId& repo, const std::string& commit, std::string_view prefix) {
  check_inside(prefix);
  fs::path tree = tree_of(repo, commit);
  if (!fs::is_directory(tree / prefix)) return {};
  check_within(tree / prefix, tree);
  std::vector<HubFile> files = list_tree(tree / prefix, tree);
  if (!prefix.empty())
    for (HubFile& file : files) file.path = std::string(prefix) + "/" + file.path;
  return files;
}

RepoInfo FolderHub::info(const RepoId& repo, const std::string& revision) {
  return {.commit = commit_of(repo, revision)};
}

fs::path FolderHub::fetch(const RepoId& repo, const Revision& revision, const std::vector<HubFile>& files,
                          const FetchOptions&) {
  fs::path tree = tree_of(repo, revision.commit);
  for (const HubFile& file : files) {
    check_inside(file.path);
    if (!fs::is_regular_file(tree / file.path))
      throw Error(ErrorCode::not_found, label(repo) + "@" + revision.commit, "has no file " + file.path,
                  "list its files: graft info " + repo.name);
    check_within(tree / file.path, tree);
  }
  return tree;
}

fs::path FolderHub::file(const RepoId& repo, const std::string& revision, const std::string& path,
                         const FetchOptions& options) {
  return fetch(repo, {revision, commit_of(repo, revision)}, {{path}}, options) / path;
}

std::string FolderHub::commit_of(const RepoId& repo, const std::string& revision) {
  if (auto found = find_revision(refs(repo), revision)) {
    tree_of(repo, found->commit);
    return found->commit;
  }
  throw Error(ErrorCode::revision_not_found, label(repo), "has no branch, tag or commit " + revision,
              "see which there are: graft info " + repo.name);
}

fs::path FolderHub::folder_of(const RepoId& repo) const {
  check_repo_name(repo.name);
  fs::path folder = root_ / folder_name(repo.kind) / repo.name;
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::not_found, label(repo), "is not in the hub " + endpoint_,
                "see what is there: graft ls; or set HF_ENDPOINT to the hub that has it");
  check_within(folder, root_);
  return folder;
}

fs::path FolderHub::tree_of(const RepoId& repo, const std::string& commit) const {
  fs::path folder = folder_of(repo);
  if (!is_commit(commit))
    throw Error(ErrorCode::invalid_argument, label(repo) + "@" + commit, "is not a commit (40 hex digits)");
  bool working_copy = is_working_copy(folder);
  if (working_copy ? content_commit(folder) == commit : fs::is_directory(folder / "commits" / commit))
    return working_copy ? folder : folder / "commits" / commit;
  throw Error(ErrorCode::revision_not_found, label(repo) + "@" + commit,
              working_copy ? "the folder's files have changed since" : "there is no such commit",
              "resolve the revision again");
}

}  // namespace graft
