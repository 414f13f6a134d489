// SealedCopy: a library's bytes, hashed while they were copied to where nobody can change them any more.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Owns the descriptor of a memory file sealed against every change; where the kernel has none, of a private,
/// unlinked file of mode 0500. A named copy keeps the source's file name in a folder of the user's own, so that
/// debuggers and profilers find symbols and sources; it goes when the process ends. What is loaded later are the bytes whose digest this is, whatever became of
/// the file on disk. Movable; not shared between threads.
class SealedCopy {
 public:
  enum class Storage { memory, file, named };

  /// Reads `file` once. Throws Error: not_found, corrupt (a folder, a fifo …, empty, more than 2 GiB), io.
  /// `algorithm` ("sha256", "sha512") is hashed besides sha256; see hash(). `label` ("graft-kernels/norm@v1.0.0") stands
  /// before the file's name in that of a memory file, "graft:graft-kernels/norm@v1.0.0 norm.so", which is how
  /// /proc/PID/maps and profilers name it.
  static SealedCopy make(const std::filesystem::path& file, std::string_view algorithm = "sha256",
                         Storage storage = Storage::memory, std::string_view label = {});

  SealedCopy(SealedCopy&& other) noexcept;
  SealedCopy& operator=(SealedCopy&&) = delete;
  ~SealedCopy();

  const std::string& source() const { return source_; }             // the path it was copied from
  const std::string& digest() const { return digest_; }             // "sha256:<hex>"
  const std::vector<unsigned char>& hash() const { return hash_; }  // by `algorithm`

  /// The bytes, mapped for reading.
  std::string_view bytes() const { return {static_cast<const char*>(mapped_), size_}; }

  /// A path that opens these bytes as long as the descriptor is open, for other processes of the user as well: the dynamic
  /// linker tells it to debuggers. "/proc/1234/fd/7", or the named copy's.
  std::string path() const;

  /// Leaves the descriptor open for the life of the process: glibc knows a library by name and inode, and
  /// would take a new one under a reused number for the old one.
  void keep_open();

 private:
  SealedCopy() = default;
  void fill(int source, std::string_view algorithm);
  void seal();
  void open_named(const std::filesystem::path& file);

  std::string source_, digest_;
  std::vector<unsigned char> hash_;
  int fd_ = -1;
  bool kept_ = false;
  std::filesystem::path folder_;  // of a named copy
  bool in_memory_ = false;
  void* mapped_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace graft
