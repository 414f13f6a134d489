// Names of files' contents, as git and LFS give them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

namespace graft::server {

/// Whether the Hub keeps this file in LFS: 10 MB and more, *.so, *.safetensors.
bool is_lfs(std::string_view path, std::uint64_t size);

/// SHA-1 of a git blob with this content, 40 hex digits.
std::string git_blob_sha1(std::string_view content);

/// The text that git holds in the place of an LFS file.
std::string lfs_pointer(std::string_view sha256, std::uint64_t size);

/// Hashes of files, each computed once as long as size and time of change stay. Any thread, at once: who asks
/// for one that is being computed waits for it. All throw Error(io).
class FileHashes {
 public:
  std::string git_sha1(const std::filesystem::path& file) { return get(file, "sha1"); }
  std::string sha256(const std::filesystem::path& file) { return get(file, "sha256"); }

 private:
  using Key = std::tuple<std::string, std::string_view, std::uint64_t, std::int64_t>;
  std::string get(const std::filesystem::path& file, std::string_view algorithm);

  std::mutex mutex_;
  std::map<Key, std::shared_future<std::string>> hashes_;
};

}  // namespace graft::server
