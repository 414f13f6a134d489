// Download: files of one commit, from a Hub into the cache.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "../cache/blob_writer.h"
#include "../cache/repo_cache.h"
#include "http_client.h"

namespace graft {

/// One fetch's work, in the thread that calls and in others that end with run(). Memory: at most four parts of
/// 4 MiB, however large a file is.
class Download {
 public:
  Download(HttpClient& client, const HubOptions& options, const RepoId& repo, const std::string& commit,
           const FetchOptions& fetch);

  /// Makes each file part of the commit's snapshot: small ones several at once, large ones after another in
  /// parts. The first error ends the others and is thrown; what is whole by then stays.
  void run(const std::vector<HubFile>& files);

 private:
  void get(const HubFile& file);
  void get_blob(const HubFile& file, bool shared);
  void stream(const HubFile& file, BlobWriter& writer);
  bool in_parts(const HubFile& file, BlobWriter& writer);
  void in_threads(std::size_t count, const std::function<void()>& work);
  void progress(std::int64_t bytes, std::uint64_t received = 0, bool file_done = false);

  HttpClient& client_;
  const HubOptions& options_;
  RepoId repo_;
  std::string commit_;
  RepoCache cache_;
  const ProgressCallback& tell_;
  std::stop_source stop_;  // asked by the caller, or by the first error
  std::stop_callback<std::function<void()>> when_asked_;

  std::mutex mutex_;  // guards what follows
  std::exception_ptr failure_;
  Progress progress_;
  std::chrono::steady_clock::time_point told_{};
};

}  // namespace graft
