#include "release_pages.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#endif

namespace graft {

#if defined(__linux__)

namespace {

// Of an entry of /proc/self/pagemap. A page of a private mapping that was written to is the process's own, no file's.
// Source: Documentation/admin-guide/mm/pagemap.rst.
constexpr uint64_t kPresent = uint64_t{1} << 63, kOfAFile = uint64_t{1} << 61;

class PageMap {
 public:
  PageMap() : file_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}
  ~PageMap() {
    if (file_ >= 0) close(file_);
  }
  PageMap(const PageMap&) = delete;

  /// Entries of pages [first, first + entries.size()): how many could be read.
  template <size_t N>
  size_t read(uint64_t first, size_t count, std::array<uint64_t, N>& entries) const {
    const ssize_t bytes = pread(file_, entries.data(), std::min(count, N) * sizeof(uint64_t), off_t(first * sizeof(uint64_t)));
    return bytes < 0 ? 0 : size_t(bytes) / sizeof(uint64_t);
  }

 private:
  int file_;
};

}  // namespace

void release_file_pages(const void* data, std::size_t bytes) {
  static const uint64_t page_size = uint64_t(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uint64_t end = (address + bytes) / page_size;
  uint64_t page = (address + page_size - 1) / page_size;
  const PageMap map;
  std::array<uint64_t, 512> entries;
  while (page < end) {
    const size_t count = map.read(page, end - page, entries);
    if (count == 0) return;
    const auto is_file = [](uint64_t entry) { return (entry & (kPresent | kOfAFile)) == (kPresent | kOfAFile); };
    const auto last = entries.begin() + ptrdiff_t(count);
    for (auto run = std::find_if(entries.begin(), last, is_file); run != last;) {
      const auto after = std::find_if_not(run, last, is_file);
      const uint64_t first = page + uint64_t(run - entries.begin());
      madvise(reinterpret_cast<void*>(first * page_size), size_t(after - run) * page_size, MADV_DONTNEED);
      run = std::find_if(after, last, is_file);
    }
    page += count;
  }
}

#else

void release_file_pages(const void*, std::size_t) {}

#endif

}  // namespace graft
