#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "file_descriptor.h"
#include "graft/error.h"
#include "graft/safetensors.h"
#include "safetensors_header.h"

namespace graft {
namespace {

// The whole pages within [data, data + bytes): neighbours share the first and last page, which are left
// alone.
std::span<std::byte> whole_pages(const TensorView& view) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(view.data);
  const auto first = (begin + page - 1) / page * page;
  const auto last = (begin + view.bytes) / page * page;
  if (last <= first) return {};
  return {reinterpret_cast<std::byte*>(first), last - first};
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path,
                                                             Access access) {
  const std::string source = path.string();
  detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    const bool absent = errno == ENOENT || errno == ENOTDIR;
    throw Error(absent ? ErrorCode::not_found : ErrorCode::io, source, std::strerror(errno),
                absent ? "check the path, or download the model again" : "check its permissions");
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw Error(ErrorCode::io, source, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorCode::io, source, "not a regular file", "give a .safetensors file");
  if (status.st_size == 0) throw Error(ErrorCode::corrupt, source, "empty file", "download the file again");

  std::shared_ptr<SafetensorsFile> result(new SafetensorsFile);
  result->path_ = path;
  result->size_ = static_cast<std::size_t>(status.st_size);
  // NORESERVE: a copy-on-write map of a file larger than memory is fine as long as few pages are written.
  const int protection = access == Access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  void* map = ::mmap(nullptr, result->size_, protection, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
  if (map == MAP_FAILED) {
    throw Error(ErrorCode::io, source, std::string("cannot be mapped: ") + std::strerror(errno),
                "check the address space limit (ulimit -v)");
  }
  result->map_ = map;

  const auto* bytes = static_cast<const std::byte*>(map);
  detail::SafetensorsHeader header = detail::parse_safetensors_header({bytes, result->size_}, source);
  for (detail::SafetensorsEntry& entry : header.entries) {
    const std::size_t size = entry.end - entry.begin;
    result->tensors_.emplace(entry.name, TensorView{.dtype = entry.dtype,
                                                    .shape = std::move(entry.shape),
                                                    .data = size == 0 ? nullptr : bytes + entry.begin,
                                                    .bytes = size});
    result->names_.push_back(std::move(entry.name));
  }
  result->metadata_ = std::move(header.metadata);
  result->descriptor_ = file.release();
  return result;
}

SafetensorsFile::~SafetensorsFile() {
  if (map_) ::munmap(map_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

const TensorView& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::string some;
  for (std::size_t i = 0; i < names_.size() && i < 3; ++i) some += (i ? ", " : "") + names_[i];
  throw Error(
      ErrorCode::not_found, "tensor \"" + name + '"', "not in " + path_.string(),
      names_.empty() ? "the file holds no tensors" : "it holds " + some + (names_.size() > 3 ? " …" : ""));
}

void SafetensorsFile::read(const TensorView& view, std::size_t offset, std::span<std::byte> into) const {
  const auto place = static_cast<std::size_t>(view.data - static_cast<const std::byte*>(map_)) + offset;
  for (std::size_t done = 0; done < into.size();) {
    const ssize_t got = ::pread(descriptor_, into.data() + done, into.size() - done, static_cast<off_t>(place + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(ErrorCode::io, path_.string(), got == 0 ? "it has become shorter" : std::strerror(errno),
                  "leave the file alone while it is loaded");
    }
    done += static_cast<std::size_t>(got);
  }
}

void SafetensorsFile::will_need(const std::string& name) const {
  const auto pages = whole_pages(tensor(name));
  if (!pages.empty()) ::madvise(pages.data(), pages.size(), MADV_WILLNEED);
}

void SafetensorsFile::will_need() const {
  ::madvise(map_, size_, MADV_WILLNEED);
}

}  // namespace graft
