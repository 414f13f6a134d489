#include "shared_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "blob_writer.h"
#include "file_lock.h"
#include "folder_walk.h"
#include "graft/error.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMarker = ".huggingface-shared-blobs";  // a folder without it is not this store
constexpr std::string_view kLayout = "1\n";

bool is_store(const fs::path& store) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(store, error)) ||
      !fs::is_regular_file(fs::symlink_status(store / kMarker, error)))
    return false;
  std::ifstream in(store / kMarker);
  return std::string(std::istreambuf_iterator<char>(in), {}) == kLayout;
}

bool append_line(const fs::path& file, const std::string& line) {
  int fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return false;
  std::string text = line + "\n";
  bool done = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  close(fd);
  return done;
}

}  // namespace

bool link_shared_blob(const fs::path& cache, const fs::path& blob, const HubFile& file, std::stop_token stop) {
  fs::path store = cache / "blobs";
  if (file.xet_hash.empty() || !is_store(store)) return false;
  fs::path shared = store / file.xet_hash.substr(0, 2) / file.xet_hash;
  struct stat status {};
  auto usable = [&] {
    return lstat(shared.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           static_cast<std::uint64_t>(status.st_size) == file.size;
  };
  if (!usable()) return false;
  try {
    FileLock lock(shared.string() + ".lock", stop);
    if (!lock.held() || !usable() || !matches(shared, file)) return false;
    fs::path link = blob.parent_path() / ("." + blob.filename().string() + ".shared");
    std::error_code error;
    fs::remove(link, error);
    fs::create_symlink(shared.lexically_relative(blob.parent_path()), link);
    // The reference before the link: one too many is harmless, one too few would let Python remove the blob.
    if (append_line(shared.string() + ".refs", blob.lexically_relative(cache).generic_string())) {
      fs::rename(link, blob);
      return true;
    }
    fs::remove(link, error);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::cancelled) throw;
  } catch (const fs::filesystem_error&) {
  }
  return false;
}

fs::path shared_blob_of(const fs::path& cache, const fs::path& blob) {
  fs::path target = target_of_link(blob);
  const std::string hash = target.filename();
  // By its name in the cache, whichever way the link writes it.
  fs::path shared = cache / "blobs" / hash.substr(0, 2) / hash;
  return hash.size() == 64 && is_store(cache / "blobs") && is_same_folder(target.parent_path(), shared.parent_path())
             ? shared
             : fs::path();
}

std::uint64_t sweep_shared_blob(const fs::path& cache, const fs::path& shared) {
  FileLock lock(shared.string() + ".lock", {});
  const fs::path list = shared.string() + ".refs";
  struct stat status {};
  if (!lock.held() || lstat(list.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  std::ifstream in(list);
  for (std::string line; std::getline(in, line);) {
    fs::path relative = line;
    if (relative.is_absolute() || std::find(relative.begin(), relative.end(), "..") != relative.end()) continue;
    if (shared_blob_of(cache, cache / relative) == shared) return 0;
  }
  if (in.bad() || lstat(shared.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  if (unlink(shared.c_str()) != 0) return 0;
  unlink(list.c_str());
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace graft
