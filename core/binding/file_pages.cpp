#include "file_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace graft {
namespace {

// Source: Linux, Documentation/admin-guide/mm/pagemap.rst. A private page that was written is no file's any more.
constexpr uint64_t kPresent = uint64_t{1} << 63, kOfAFile = uint64_t{1} << 61;

struct Pagemap {
  const int file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  ~Pagemap() {
    if (file >= 0) ::close(file);
  }
};

}  // namespace

size_t release_pages(const at::Tensor& weight) {
  if (!weight.defined() || !weight.device().is_cpu() || !weight.has_storage() || !weight.is_non_overlapping_and_dense()) return 0;
  const auto page = uintptr_t(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(weight.const_data_ptr());
  const uintptr_t first = (begin + page - 1) / page, last = (begin + weight.nbytes()) / page;
  const Pagemap pagemap;
  if (pagemap.file < 0) return 0;  // no /proc: everything stays
  std::array<uint64_t, 512> entries;
  size_t released = 0;
  for (uintptr_t at = first; at < last;) {
    const size_t asked = std::min(entries.size(), size_t(last - at)) * sizeof(uint64_t);
    const ssize_t got = ::pread(pagemap.file, entries.data(), asked, off_t(at * sizeof(uint64_t)));
    if (got < ssize_t(sizeof(uint64_t))) break;
    const auto count = size_t(got) / sizeof(uint64_t);
    const auto of_a_file = [&](size_t i) { return (entries[i] & kPresent) != 0 && (entries[i] & kOfAFile) != 0; };
    for (size_t i = 0; i < count;) {
      size_t end = i;
      while (end < count && of_a_file(end)) ++end;
      if (end > i && ::madvise(reinterpret_cast<void*>((at + i) * page), (end - i) * page, MADV_DONTNEED) == 0) {
        released += (end - i) * page;
      }
      i = std::max(end, i + 1);
    }
    at += count;
  }
  return released;
}

}  // namespace graft
