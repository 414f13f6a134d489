// FileLock: what keeps two processes, Graft's or Python's, from downloading the same thing at once.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

namespace graft {

/// An exclusive flock(2) on a file, as the Python package filelock takes it; the file is made if it is not
/// there and stays. Ends with the object or the process. Not recursive: the same thread waits for itself.
class FileLock {
 public:
  /// Waits until it is free. Throws Error: cancelled, io. Where the file system has no locks, held() is
  /// false: the caller then writes where nobody else does.
  FileLock(const std::filesystem::path& file, std::stop_token stop);
  ~FileLock();
  FileLock(const FileLock&) = delete;

  /// The lock if nobody else has it, null if somebody does. Throws Error(io).
  static std::unique_ptr<FileLock> try_take(const std::filesystem::path& file);

  bool held() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace graft
