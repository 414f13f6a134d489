// Who has a file of the cache mapped, by /proc.
#include <sys/stat.h>

#include <charconv>
#include <fstream>
#include <set>

#include "graft/cache.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// The files below `top` that a process has mapped; none if this user may not know.
std::set<std::string> mapped_files(const fs::path& process, const std::string& top) {
  std::set<std::string> files;
  std::ifstream in(process / "maps");
  // "7f12-7f13 r-xp 00000000 08:01 1234    /path"; a removed file's has " (deleted)" behind it
  for (std::string line; std::getline(in, line);)
    if (std::size_t begin = line.find(top); begin != line.npos && !line.ends_with(" (deleted)"))
      files.insert(line.substr(begin));
  return files;
}

}  // namespace

std::vector<MappedBlob> mapped_blobs(const fs::path& cache) {
  std::vector<MappedBlob> found;
  std::error_code error;
  const fs::path root = fs::canonical(cache, error);
  if (error) return found;
  for (fs::directory_iterator it("/proc", error); !error && it != fs::end(it); it.increment(error)) {
    const std::string name = it->path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size())
      continue;
    for (const std::string& file : mapped_files(it->path(), root.string() + "/")) {
      struct stat status {};
      if (lstat(file.c_str(), &status) == 0)
        found.push_back({pid,
                         first_line(it->path() / "comm"),
                         {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size)}});
    }
  }
  return found;
}

}  // namespace graft
