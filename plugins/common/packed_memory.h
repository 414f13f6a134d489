// PackedMemory: what prepare() packs weights into, from the host's allocator, which counts it, where the host
// has one.
#pragma once

#include <cstdlib>
#include <cstring>
#include <graft/plugin.hpp>
#include <new>
#include <utility>

namespace graft {

// Moves; aligned to a cache line. Not for forward(), which allocates nothing.
class PackedMemory {
 public:
  PackedMemory() = default;
  explicit PackedMemory(size_t bytes) {
    bytes = (bytes + kLine) / kLine * kLine;
    const graft_host_allocator* host = allocator();
    memory_ =
        host != nullptr ? host->allocate(plugin::host(), bytes, kLine) : std::aligned_alloc(kLine, bytes);
    if (memory_ == nullptr) throw std::bad_alloc();
  }
  ~PackedMemory() {
    if (memory_ == nullptr) return;
    const graft_host_allocator* host = allocator();
    host != nullptr ? host->release(plugin::host(), memory_) : std::free(memory_);
  }
  PackedMemory(PackedMemory&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
  PackedMemory& operator=(PackedMemory&& other) noexcept { return std::swap(memory_, other.memory_), *this; }

  template <class T>
  T* data() const {
    return static_cast<T*>(memory_);
  }

 private:
  static constexpr size_t kLine = 64;
  static const graft_host_allocator* allocator() {
    return plugin::host_extension<graft_host_allocator>(GRAFT_EXT_ALLOCATOR);
  }
  void* memory_ = nullptr;
};

}  // namespace graft
