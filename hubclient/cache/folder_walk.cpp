#include "folder_walk.h"

#include <fstream>

#include "graft/hub.h"
#include "os_error.h"

namespace graft {
namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  if (!is_folder(folder)) return found;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::end(it); it.increment(error)) found.push_back(it->path());
  if (error && error != std::errc::no_such_file_or_directory)
    throw_os_error(folder, "cannot be read", error.value());
  return found;
}

void walk_folder(const fs::path& folder, const std::function<void(const fs::path&)>& tell) {
  for (const fs::path& entry : entries(folder)) is_folder(entry) ? walk_folder(entry, tell) : tell(entry);
}

fs::path target_of_link(const fs::path& link) {
  std::error_code error;
  fs::path target = fs::read_symlink(link, error);
  return error ? fs::path() : (link.parent_path() / target).lexically_normal();
}

bool is_same_folder(const fs::path& one, const fs::path& other) {
  std::error_code error;
  return one == other || (!one.empty() && fs::equivalent(one, other, error));
}

std::string commit_in(const fs::path& ref) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(ref, error))) return {};
  std::ifstream in(ref);
  std::string commit;
  in >> commit;
  return is_commit(commit) ? commit : "";
}

}  // namespace graft
