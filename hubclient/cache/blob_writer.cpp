#include "blob_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <vector>

#include "os_error.h"
#include "scratch_name.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kTwoCores = 1 << 20;         // bytes that are worth a thread: hashed and written at once
constexpr std::uint64_t kFlushEvery = 32 << 20;  // bytes after which the disk is set to work

Hasher hasher_for(const HubFile& file) {
  if (!file.sha256.empty()) return Hasher("sha256");
  Hasher git("sha1");
  git.update("blob " + std::to_string(file.size) + std::string(1, '\0'));
  return git;
}

}  // namespace

const std::string& etag_of(const HubFile& file) {
  return file.sha256.empty() ? file.oid : file.sha256;
}

namespace {

std::string hash_of(const fs::path& path, const HubFile& file) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_os_error(path, "cannot be opened");
  Hasher hasher = hasher_for(file);
  std::vector<char> buffer(1 << 20);
  ssize_t got;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) hasher.update(buffer.data(), static_cast<std::size_t>(got));
  close(fd);
  if (got < 0) throw_os_error(path, "reading it failed");
  return to_hex(hasher.finish());
}

}  // namespace

bool matches(const fs::path& path, const HubFile& file) {
  return hash_of(path, file) == etag_of(file);
}

std::string git_sha1(const fs::path& path) {
  return hash_of(path, {path.filename(), fs::file_size(path)});
}

BlobWriter::BlobWriter(const fs::path& blob, const HubFile& file, bool shared)
    : blob_(blob), file_(file), shared_(shared) {
  partial_ = blob;
  partial_ += shared ? ".incomplete" : "." + scratch_name() + ".incomplete";
  fd_ = open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) throw_os_error(partial_, "cannot be opened");
  begin_hash();
  try {
    rehash();
  } catch (...) {
    close(fd_);
    throw;
  }
}

BlobWriter::~BlobWriter() {
  // What a broken download got stays for the next try, if there is something and somebody will look for it.
  if (!published_ && (!shared_ || written_ == 0)) remove();
  close(fd_);
}

void BlobWriter::append(std::string_view bytes) {
  if (bytes.size() > file_.size - written_)
    throw Error(ErrorCode::corrupt, "file " + file_.path,
                "is longer than the " + std::to_string(file_.size) + " bytes that the Hub's listing gives",
                "try again; if it stays, report it to the repo's owner");
  if (bytes.size() >= kTwoCores) {
    std::future<void> writing = std::async(std::launch::async, [&] { write_all(bytes); });
    hasher_->update(bytes);
    writing.get();
  } else {
    hasher_->update(bytes);
    write_all(bytes);
  }
  if (written_ - flushed_ >= kFlushEvery) {
    // So that the sync at the end finds little left to wait for.
    sync_file_range(fd_, static_cast<off_t>(flushed_), static_cast<off_t>(written_ - flushed_), SYNC_FILE_RANGE_WRITE);
    flushed_ = written_;
  }
}

void BlobWriter::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t put = write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw_os_error(partial_, "cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(put));
    written_ += static_cast<std::uint64_t>(put);
  }
}

void BlobWriter::restart() {
  if (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) < 0) throw_os_error(partial_, "cannot be emptied");
  written_ = flushed_ = 0;
  resumed_ = false;
  begin_hash();
}

void BlobWriter::publish() {
  std::string hash = to_hex(hasher_->finish());
  if (written_ != file_.size || hash != etag_of(file_)) {
    remove();
    written_ = 0;
    throw Error(ErrorCode::corrupt, "file " + file_.path,
                written_ != file_.size && hash == etag_of(file_)
                    ? "has another size than the Hub's listing gives"
                    : "its bytes are not those of the Hub's listing: " + std::string(file_.sha256.empty() ? "SHA-1 " : "SHA-256 ") +
                          hash + " instead of " + etag_of(file_),
                "try again; if it stays, a proxy or the Hub's storage is broken");
  }
  if (fsync(fd_) != 0) throw_os_error(partial_, "cannot be synced");
  if (rename(partial_.c_str(), blob_.c_str()) != 0) throw_os_error(blob_, "cannot be put in place");
  published_ = true;
}

void BlobWriter::begin_hash() {
  hasher_.emplace(hasher_for(file_));
}

/// Takes over what is there, unless it is more than there can be.
void BlobWriter::rehash() {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_os_error(partial_, "cannot be read");
  auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == 0) return;
  if (size > file_.size || !S_ISREG(status.st_mode)) return restart();
  std::vector<char> buffer(1 << 20);
  while (written_ < size) {
    ssize_t got = read(fd_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_os_error(partial_, "reading it failed");
    if (got == 0) break;
    hasher_->update(buffer.data(), static_cast<std::size_t>(got));
    written_ += static_cast<std::uint64_t>(got);
  }
  flushed_ = written_;
  resumed_ = written_ > 0;
}

void BlobWriter::remove() {
  unlink(partial_.c_str());
}

}  // namespace graft
