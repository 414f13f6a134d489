// FileBody: the bytes of a file, or a range of them, on their way out.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>

namespace graft::server {

/// Waits that end early when the server stops. Any thread, at once.
class Pauses {
 public:
  /// False if the server stopped meanwhile.
  bool wait(std::chrono::milliseconds time);
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
};

/// What goes out, and what goes wrong on the way.
struct BodyPlan {
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t offset = 0;            // in the file; bytes behind its end are made up
  std::uint64_t length = 0;            // what Content-Length promises
  std::uint64_t cut_at = kNever;       // the body ends here, counted from its own begin
  std::uint64_t flip_at = kNever;      // this byte is wrong
  std::chrono::milliseconds stall{0};  // rest after the first half
};

/// One response's body. Not shared between threads.
class FileBody {
 public:
  /// Throws Error(io) if the file cannot be opened.
  FileBody(const std::filesystem::path& file, const BodyPlan& plan, Pauses& pauses,
           std::atomic<std::uint64_t>& sent);
  ~FileBody();
  FileBody(const FileBody&) = delete;
  FileBody& operator=(const FileBody&) = delete;

  std::uint64_t length() const { return plan_.length; }

  using Sink = std::function<bool(const char* bytes, std::size_t count)>;

  /// Gives `sink` the next bytes from `position` on, at most 1 MiB. False: the connection has to end.
  bool write_piece(std::uint64_t position, const Sink& sink);

 private:
  int file_ = -1;
  std::uint64_t file_size_ = 0;
  BodyPlan plan_;
  Pauses& pauses_;
  std::atomic<std::uint64_t>& sent_;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace graft::server
