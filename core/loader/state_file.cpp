#include "state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace graft {
namespace fs = std::filesystem;

bool make_state_folder(const fs::path& folder) {
  if (folder.empty()) return false;
  if (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return true;
  return errno == ENOENT && folder.has_relative_path() && make_state_folder(folder.parent_path()) &&
         (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST);
}

bool write_state_file(const fs::path& file, std::string_view text) {
  if (!make_state_folder(file.parent_path())) return false;
  std::string scratch = (file.parent_path() / ".new-XXXXXX").string();
  int fd = mkostemp(scratch.data(), O_CLOEXEC);  // mode 0600
  if (fd < 0) return false;
  bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  whole = close(fd) == 0 && whole;
  if (whole && rename(scratch.c_str(), file.c_str()) == 0) return true;
  int saved = errno;
  unlink(scratch.c_str());
  errno = saved;
  return false;
}

std::string_view hex_of(std::string_view digest) {
  constexpr std::string_view kPrefix = "sha256:";
  if (!digest.starts_with(kPrefix)) return {};
  digest.remove_prefix(kPrefix.size());
  return digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == digest.npos
             ? digest
             : std::string_view();
}

}  // namespace graft
