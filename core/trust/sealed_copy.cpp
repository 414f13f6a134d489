#include "sealed_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "graft/error.h"
#include "graft/hash.h"

namespace graft {
namespace {

constexpr off_t kMaxBytes = off_t{2} << 30;

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

[[noreturn]] void fail_io(const std::string& file, const char* step) {
  throw Error(ErrorCode::io, "library " + file, std::string(step) + ": " + std::strerror(errno),
              "check free memory and disk space, and permissions");
}

int open_source(const std::filesystem::path& file) {
  // O_NONBLOCK: opening a fifo must not wait for its writer.
  int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
    throw Error(ErrorCode::not_found, "library " + file.string(), std::strerror(errno),
                "build it, or mend the path");
  if (fd < 0) fail_io(file.string(), "cannot be opened");
  return fd;
}

void check_source(int fd, const std::string& file) {
  struct stat status {};
  if (fstat(fd, &status) != 0) fail_io(file, "cannot be read");
  const char* why = S_ISDIR(status.st_mode)      ? "is a folder, not a file"
                    : !S_ISREG(status.st_mode)   ? "is no regular file"
                    : status.st_size == 0        ? "is empty"
                    : status.st_size > kMaxBytes ? "is larger than 2 GiB"
                                                 : nullptr;
  if (why) throw Error(ErrorCode::corrupt, "library " + file, why, "build or download it again");
}

/// Of mode 0700.
std::string private_folder(const std::string& file) {
  const char* base = std::getenv("TMPDIR");
  std::string folder = std::string(base && *base ? base : "/tmp") + "/graft-XXXXXX";
  if (!mkdtemp(folder.data())) fail_io(file, "no private folder for its copy");
  return folder;
}

/// Kept named copies go when the process ends.
void remove_at_exit(const std::filesystem::path& folder) {
  struct Folders {
    std::mutex mutex;
    std::vector<std::filesystem::path> all;
    ~Folders() {
      std::error_code error;
      for (const auto& each : all) std::filesystem::remove_all(each, error);
    }
  };
  static Folders folders;
  std::lock_guard lock(folders.mutex);
  folders.all.push_back(folder);
}

int private_file(const std::string& file) {
  std::string folder = private_folder(file);
  std::string path = folder + "/library.so";
  Descriptor writer{open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700)};
  int saved = errno;
  // Without a name, nobody else can open it; the descriptor keeps the bytes.
  unlink(path.c_str());
  rmdir(folder.c_str());
  errno = saved;
  if (writer.fd < 0) fail_io(file, "no private copy");
  return std::exchange(writer.fd, -1);
}

/// What /proc/PID/maps shows behind "/memfd:". A line break there would forge another of its lines.
std::string memory_name(std::string_view label, const std::string& file) {
  constexpr std::size_t kMaxBytes = 249;  // the kernel's, see memfd_create(2)
  std::string name = "graft:" + std::string(label);
  name.resize(std::min(name.size(), kMaxBytes - std::min(file.size() + 1, kMaxBytes)));
  name = (name + (label.empty() ? "" : " ") + file).substr(0, kMaxBytes);
  std::replace_if(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
  return name;
}

/// This process as the mounted /proc knows it, which may count in another PID namespace than getpid(): a number of that
/// one would be somebody else's. "self" where there is no telling.
std::string own_process() {
  char number[32];
  const ssize_t length = readlink("/proc/self", number, sizeof number);
  return length > 0 && length < ssize_t(sizeof number) ? std::string(number, std::size_t(length)) : "self";
}

}  // namespace

SealedCopy SealedCopy::make(const std::filesystem::path& file, std::string_view algorithm, Storage storage,
                            std::string_view label) {
  SealedCopy copy;
  copy.source_ = file.string();
  Descriptor source{open_source(file)};
  check_source(source.fd, copy.source_);
  if (storage == Storage::memory)
    copy.fd_ = memfd_create(memory_name(label, file.filename().string()).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  copy.in_memory_ = copy.fd_ >= 0;
  if (storage == Storage::named) copy.open_named(file);
  if (copy.fd_ < 0) copy.fd_ = private_file(copy.source_);
  copy.fill(source.fd, algorithm);
  copy.seal();
  return copy;
}

SealedCopy::SealedCopy(SealedCopy&& other) noexcept
    : source_(std::move(other.source_)),
      digest_(std::move(other.digest_)),
      hash_(std::move(other.hash_)),
      fd_(std::exchange(other.fd_, -1)),
      kept_(other.kept_),
      folder_(std::exchange(other.folder_, {})),
      in_memory_(other.in_memory_),
      mapped_(std::exchange(other.mapped_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SealedCopy::~SealedCopy() {
  if (mapped_) munmap(mapped_, size_);
  if (fd_ >= 0 && !kept_) close(fd_);
  std::error_code error;
  if (!folder_.empty() && !kept_) std::filesystem::remove_all(folder_, error);
}

std::string SealedCopy::path() const {
  if (!folder_.empty()) return (folder_ / std::filesystem::path(source_).filename()).string();
  return "/proc/" + own_process() + "/fd/" + std::to_string(fd_);
}

void SealedCopy::keep_open() {
  if (!kept_ && !folder_.empty()) remove_at_exit(folder_);
  kept_ = true;
}

void SealedCopy::open_named(const std::filesystem::path& file) {
  folder_ = private_folder(source_);
  fd_ = open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
  if (fd_ < 0) fail_io(file.string(), "no private copy");
}

namespace {

constexpr std::size_t kPiece = 256 << 10;      // bytes copied at once
constexpr std::size_t kTwoCores = 1 << 20;     // bytes that are worth a thread
constexpr std::size_t kFailed = ~std::size_t{0};

/// `size` bytes from one descriptor to the other; `copied` is told how far it is.
void copy_bytes(int from, int to, std::size_t size, const std::string& name, std::atomic<std::size_t>& copied) {
  std::vector<char> buffer(kPiece);
  for (std::size_t done = 0; done < size;) {
    ssize_t got = read(from, buffer.data(), std::min(buffer.size(), size - done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io(name, "reading it failed");
    if (got == 0)
      throw Error(ErrorCode::corrupt, "library " + name, "became shorter while it was read", "try again");
    for (ssize_t written = 0; written < got;) {
      ssize_t put = write(to, buffer.data() + written, static_cast<std::size_t>(got - written));
      if (put < 0 && errno != EINTR) fail_io(name, "copying it failed");
      if (put > 0) written += put;
    }
    copied = done += static_cast<std::size_t>(got);
    copied.notify_one();
  }
}

}  // namespace

/// One thread copies while this one hashes behind it, from the copy: what is hashed is what will be loaded.
void SealedCopy::fill(int source, std::string_view algorithm) {
  struct stat status {};
  if (fstat(source, &status) != 0) fail_io(source_, "cannot be read");
  size_ = static_cast<std::size_t>(status.st_size);
  if (ftruncate(fd_, status.st_size) != 0) fail_io(source_, "no room for its copy");
  mapped_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0);
  if (mapped_ == MAP_FAILED) {
    mapped_ = nullptr;
    fail_io(source_, "mapping its copy failed");
  }
  std::atomic<std::size_t> copied = 0;
  std::exception_ptr failure;
  auto copy = [&] {
    try {
      copy_bytes(source, fd_, size_, source_, copied);
    } catch (...) {
      failure = std::current_exception();
      copied = kFailed;
      copied.notify_one();
    }
  };
  std::jthread copier;
  if (size_ >= kTwoCores)
    copier = std::jthread(copy);
  else
    copy();

  Hasher sha256("sha256");
  std::optional<Hasher> other;
  if (algorithm != "sha256") other.emplace(algorithm);
  for (std::size_t hashed = 0; hashed < size_;) {
    copied.wait(hashed);
    std::size_t here = copied;
    if (here == kFailed) {
      if (copier.joinable()) copier.join();
      std::rethrow_exception(failure);
    }
    sha256.update(static_cast<const char*>(mapped_) + hashed, here - hashed);
    if (other) other->update(static_cast<const char*>(mapped_) + hashed, here - hashed);
    hashed = here;
  }
  std::vector<unsigned char> digest = sha256.finish();
  digest_ = "sha256:" + to_hex(digest);
  hash_ = other ? other->finish() : std::move(digest);
}

void SealedCopy::seal() {
  if (in_memory_ && fcntl(fd_, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    fail_io(source_, "sealing its copy failed");
  if (!in_memory_ && fchmod(fd_, 0500) != 0) fail_io(source_, "protecting its copy failed");
}

}  // namespace graft
