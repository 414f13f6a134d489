// FolderHub: a Hub that is a plain folder, for embedded defaults, air-gapped machines and authors' working
// copies.
#pragma once

#include "graft/hub.h"

namespace graft {

class FolderHub : public Hub {
 public:
  /// Throws Error(not_found) if `root` is no folder.
  explicit FolderHub(std::filesystem::path root);

  const std::string& endpoint() const override { return endpoint_; }
  std::vector<std::string> repos(RepoKind kind) override;
  bool has(const RepoId& repo) override;
  Refs refs(const RepoId& repo) override;
  std::vector<HubFile> list(const RepoId& repo, const std::string& commit, std::string_view prefix) override;

  RepoInfo info(const RepoId& repo, const std::string& revision) override;

  /// The commit's folder in the Hub itself; nothing is copied.
  std::filesystem::path fetch(const RepoId& repo, const Revision& revision, const std::vector<HubFile>& files,
                              const FetchOptions& options) override;
  std::filesystem::path file(const RepoId& repo, const std::string& revision, const std::string& path,
                             const FetchOptions& options) override;

 private:
  std::string commit_of(const RepoId& repo, const std::string& revision);
  std::filesystem::path folder_of(const RepoId& repo) const;
  std::filesystem::path tree_of(const RepoId& repo, const std::string& commit) const;

  std::filesystem::path root_;
  std::string endpoint_;
};

}  // namespace graft
