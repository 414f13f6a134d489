#include "counted_allocations.h"

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {

thread_local graft::test::Allocations counted;

void* allocated(void* memory, std::size_t size) {
  if (memory == nullptr) return memory;
  ++counted.count;
  counted.bytes += int64_t(size);
  counted.kept += int64_t(malloc_usable_size(memory));
  return memory;
}

}  // namespace

namespace graft::test {
Allocations allocations_so_far() { return counted; }
}  // namespace graft::test

// operator new is libstdc++'s, which takes malloc.
extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) { return allocated(__libc_malloc(size), size); }
void* calloc(std::size_t count, std::size_t size) { return allocated(__libc_calloc(count, size), count * size); }

void* realloc(void* old, std::size_t size) {
  if (old != nullptr) counted.kept -= int64_t(malloc_usable_size(old));
  return allocated(__libc_realloc(old, size), size);
}

void* memalign(std::size_t alignment, std::size_t size) { return allocated(__libc_memalign(alignment, size), size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return allocated(__libc_memalign(alignment, size), size); }

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  *memory = allocated(__libc_memalign(alignment, size), size);
  return *memory != nullptr ? 0 : ENOMEM;
}

void free(void* memory) {
  if (memory != nullptr) counted.kept -= int64_t(malloc_usable_size(memory));
  __libc_free(memory);
}

}  // extern "C"
