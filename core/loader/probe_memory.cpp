#include "probe_memory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "graft/quarantine.h"
#include "log.h"
#include "state_file.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

/// Homes are shared between machines, on which a plugin may fare differently.
std::string machine() {
  utsname names{};
  std::string name = uname(&names) == 0 ? names.nodename : "";
  std::replace(name.begin(), name.end(), '/', '-');
  return name.empty() || name.front() == '.' ? "localhost" : name;
}

fs::path marker(const std::string& digest) {
  fs::path state = state_folder();
  if (state.empty() || hex_of(digest).empty()) return {};
  return state / "probed" / GRAFT_VERSION / machine() / hex_of(digest);
}

}  // namespace

bool has_passed_probe(const std::string& digest) {
  fs::path file = marker(digest);
  struct stat status {};
  // A folder that others can write would let them vouch: only what this user or root left counts.
  return !file.empty() && lstat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         (status.st_uid == geteuid() || status.st_uid == 0);
}

void remember_passed_probe(const std::string& digest) {
  fs::path file = marker(digest);
  if (file.empty() || !write_state_file(file, ""))
    log(LogLevel::debug, digest,
        std::string("its passed probe cannot be remembered, so it is probed each time: ") +
            (file.empty() ? "no state folder" : std::strerror(errno)));
}

ProbeLock::ProbeLock(const std::string& digest) {
  fs::path state = state_folder();
  std::string_view hex = hex_of(digest);
  if (state.empty() || hex.empty() || !make_state_folder(state)) return;
  // One of sixteen files: none is left behind for each digest, and few digests wait for one another.
  fs::path file = state / ("lock-" + std::string(hex.substr(0, 1)));
  fd_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

ProbeLock::~ProbeLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace graft
