#include "memory_watch.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "report.h"

namespace graft::probe {
namespace {

std::atomic<bool> watching = false;

void note_refused(std::size_t bytes) {
  int saved = errno;
  if (watching.exchange(false)) report_memory(bytes);
  errno = saved;
}

}  // namespace

void watch_memory() {
  watching = true;
}

}  // namespace graft::probe

// A sanitizer has an allocator of its own, and a shadow that no limit fits.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  void* memory = __libc_malloc(size);
  if (!memory) graft::probe::note_refused(size);
  return memory;
}

void* calloc(std::size_t count, std::size_t size) {
  void* memory = __libc_calloc(count, size);
  std::size_t bytes;
  if (!memory) graft::probe::note_refused(__builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes);
  return memory;
}

void* realloc(void* old, std::size_t size) {
  void* memory = __libc_realloc(old, size);
  if (!memory && size) graft::probe::note_refused(size);
  return memory;
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  void* memory = __libc_memalign(alignment, size);
  if (!memory && errno == ENOMEM) graft::probe::note_refused(size);
  return memory;
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  int saved = errno;
  void* made = __libc_memalign(alignment, size);
  if (!made) graft::probe::note_refused(size);
  errno = saved;
  if (!made) return ENOMEM;
  *memory = made;
  return 0;
}

void* mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  long result = syscall(SYS_mmap, address, size, protection, flags, fd, offset);
  if (result == -1 && errno == ENOMEM) graft::probe::note_refused(size);
  return reinterpret_cast<void*>(result);
}

}  // extern "C"
#endif
