#include "file_hashes.h"

#include <fstream>
#include <vector>

#include "graft/error.h"
#include "graft/hash.h"

namespace graft::server {
namespace fs = std::filesystem;
namespace {

std::string blob_header(std::uint64_t size) {
  return "blob " + std::to_string(size) + std::string(1, '\0');
}

std::string hash_of(const fs::path& file, std::uint64_t size, std::string_view algorithm) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorCode::io, "file " + file.string(), "cannot be read", "check its permissions");
  Hasher hasher(algorithm);
  if (algorithm == "sha1") hasher.update(blob_header(size));
  std::vector<char> buffer(1 << 18);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    hasher.update(buffer.data(), static_cast<std::size_t>(in.gcount()));
  if (in.bad()) throw Error(ErrorCode::io, "file " + file.string(), "reading it failed");
  return to_hex(hasher.finish());
}

}  // namespace

bool is_lfs(std::string_view path, std::uint64_t size) {
  constexpr std::uint64_t kLarge = 10'000'000;
  return size >= kLarge || path.ends_with(".so") || path.ends_with(".safetensors");
}

std::string git_blob_sha1(std::string_view content) {
  Hasher hasher("sha1");
  hasher.update(blob_header(content.size()));
  hasher.update(content);
  return to_hex(hasher.finish());
}

std::string lfs_pointer(std::string_view sha256, std::uint64_t size) {
  return "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(sha256) + "\nsize " +
         std::to_string(size) + "\n";
}

std::string FileHashes::get(const fs::path& file, std::string_view algorithm) try {
  std::uint64_t size = fs::file_size(file);
  Key key{file.string(), algorithm, size, fs::last_write_time(file).time_since_epoch().count()};
  std::promise<std::string> promise;
  std::shared_future<std::string> hash;
  bool mine = false;
  {
    std::lock_guard lock(mutex_);
    auto [entry, is_new] = hashes_.try_emplace(key);
    if (is_new) entry->second = promise.get_future().share();
    hash = entry->second;
    mine = is_new;
  }
  if (mine) {
    try {
      promise.set_value(hash_of(file, size, algorithm));
    } catch (...) {
      promise.set_exception(std::current_exception());
      std::lock_guard lock(mutex_);
      hashes_.erase(key);
    }
  }
  return hash.get();
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "file " + file.string(), e.code().message(), "check its permissions");
}

}  // namespace graft::server
