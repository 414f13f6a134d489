#include "file_body.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "graft/error.h"

namespace graft::server {
namespace {

constexpr std::uint64_t kPiece = 256 << 10;  // bytes; small enough to stay in the cache between reading and sending

}  // namespace

bool Pauses::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [&] { return stop_; });
}

void Pauses::stop() {
  std::lock_guard lock(mutex_);
  stop_ = true;
  stopped_.notify_all();
}

FileBody::FileBody(const std::filesystem::path& file, const BodyPlan& plan, Pauses& pauses,
                   std::atomic<std::uint64_t>& sent)
    : file_(open(file.c_str(), O_RDONLY | O_CLOEXEC)),
      plan_(plan),
      pauses_(pauses),
      sent_(sent),
      buffer_(std::make_unique_for_overwrite<char[]>(std::min(kPiece, plan.length))) {
  struct stat status;
  if (file_ < 0 || fstat(file_, &status) != 0) {
    int error = errno;
    if (file_ >= 0) close(file_);
    throw Error(ErrorCode::io, "file " + file.string(), std::strerror(error), "check its permissions");
  }
  file_size_ = static_cast<std::uint64_t>(status.st_size);
}

FileBody::~FileBody() {
  close(file_);
}

bool FileBody::write_piece(std::uint64_t position, const Sink& sink) {
  std::uint64_t half = plan_.length / 2, count = std::min(kPiece, plan_.length - position);
  if (position >= plan_.cut_at) return false;
  count = std::min(count, plan_.cut_at - position);
  if (plan_.stall.count() > 0) {
    if (position < half) count = std::min(count, half - position);
    if (position == half && !pauses_.wait(plan_.stall)) return false;
  }
  std::uint64_t from = plan_.offset + position;
  std::uint64_t in_file = from < file_size_ ? std::min(count, file_size_ - from) : 0;
  // pread and not mmap: a file that shrinks meanwhile is a short read, not a SIGBUS.
  for (std::uint64_t read = 0; read < in_file;) {
    ssize_t got = pread(file_, buffer_.get() + read, in_file - read, static_cast<off_t>(from + read));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    read += static_cast<std::uint64_t>(got);
  }
  std::memset(buffer_.get() + in_file, 'x', count - in_file);
  if (plan_.flip_at >= position && plan_.flip_at < position + count)
    buffer_[plan_.flip_at - position] = static_cast<char>(~buffer_[plan_.flip_at - position]);
  sent_ += count;  // before the client can have them, who may look at the counter next
  if (!sink(buffer_.get(), count)) return false;
  return position + count < plan_.cut_at || position + count == plan_.length;
}

}  // namespace graft::server
