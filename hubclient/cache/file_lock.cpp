#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "os_error.h"

namespace graft {
namespace {

constexpr std::chrono::milliseconds kPoll{10};
constexpr mode_t kMode = 0664;  // users of one group that share a cache wait for each other, as in Python

/// filelock removes its file at times: a lock on a removed file is one that nobody else can see.
bool is_still_there(int fd, const std::filesystem::path& file) {
  struct stat open_one {}, named {};
  return fstat(fd, &open_one) == 0 && stat(file.c_str(), &named) == 0 && open_one.st_ino == named.st_ino &&
         open_one.st_dev == named.st_dev;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file, std::stop_token stop) {
  for (;;) {
    fd_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode);
    if (fd_ < 0) throw_os_error(file, "cannot be opened");
    while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      int number = errno;
      bool waiting = number == EWOULDBLOCK || number == EINTR;
      if (waiting && !stop.stop_requested()) {
        std::this_thread::sleep_for(kPoll);
        continue;
      }
      close(fd_);
      fd_ = -1;
      if (waiting) throw Error(ErrorCode::cancelled, "waiting for " + file.string(), "was cancelled");
      if (number == ENOSYS || number == ENOLCK || number == EOPNOTSUPP) return;
      throw_os_error(file, "cannot be locked", number);
    }
    if (is_still_there(fd_, file)) return;
    close(fd_);
  }
}

std::unique_ptr<FileLock> FileLock::try_take(const std::filesystem::path& file) try {
  std::stop_source at_once;
  at_once.request_stop();
  return std::make_unique<FileLock>(file, at_once.get_token());
} catch (const Error& e) {
  if (e.code() != ErrorCode::cancelled) throw;
  return nullptr;
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace graft
