// HttpHub: a Hub that speaks the Hugging Face Hub's HTTP interface, with its cache.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "../cache/repo_cache.h"
#include "api.h"
#include "graft/hub.h"
#include "http_client.h"

namespace graft {

class HttpHub : public Hub {
 public:
  explicit HttpHub(HubOptions options);

  const std::string& endpoint() const override { return options_.endpoint; }
  std::vector<std::string> repos(RepoKind kind) override;
  bool has(const RepoId& repo) override;
  Refs refs(const RepoId& repo) override;
  RepoInfo info(const RepoId& repo, const std::string& revision) override;
  std::vector<HubFile> list(const RepoId& repo, const std::string& commit, std::string_view prefix) override;
  std::filesystem::path fetch(const RepoId& repo, const Revision& revision, const std::vector<HubFile>& files,
                              const FetchOptions& options) override;
  std::filesystem::path file(const RepoId& repo, const std::string& revision, const std::string& path,
                             const FetchOptions& options) override;

 private:
  /// A GET of the API's, its status checked. `cached`: there is something to fall back to, so no retries.
  HttpResponse ask(const std::string& url, const std::string& what, bool cached);
  std::optional<std::vector<HubFile>> known_tree(const RepoId& repo, const std::string& commit);
  std::vector<HubFile> ask_tree(const RepoId& repo, const std::string& commit, std::string_view prefix);
  std::optional<api::FileHeaders> ask_file(const RepoId& repo, const std::string& revision, const std::string& path,
                                           const std::string& known_etag, const FetchOptions& options);
  Error not_cached(const std::string& what) const;

  /// Whether the network is worth asking: not switched off, and not just found to be out of reach.
  bool reachable() const;
  void note_unreachable();

  HubOptions options_;
  HttpClient client_;
  std::atomic<std::int64_t> unreachable_until_ = 0;  // steady clock, ns
  std::mutex mutex_;                                 // guards what follows
  std::map<std::string, std::vector<HubFile>> trees_;  // by the file that keeps it; a commit's never changes
};

}  // namespace graft
