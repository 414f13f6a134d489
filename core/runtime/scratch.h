// Scratch: a call's workspace on CPU, from a buffer that each thread keeps and grows.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace graft {

class Scratch {
 public:
  /// `bytes` of memory aligned to 256, contents undefined; throws std::bad_alloc. A kernel that itself runs a bound layer
  /// on the same thread gets memory of its own.
  explicit Scratch(size_t bytes) {
    if (bytes == 0) return;
    Buffer& buffer = thread_buffer();
    if (buffer.in_use) {
      own_ = allocate(bytes);
      data_ = own_;
      return;
    }
    if (buffer.size < bytes) {
      std::free(buffer.data);
      buffer.data = nullptr;
      buffer.size = 0;
      buffer.data = allocate(bytes);
      buffer.size = bytes;
    }
    buffer.in_use = true;
    data_ = buffer.data;
  }
  ~Scratch() {
    if (own_ != nullptr) {
      std::free(own_);
    } else if (data_ != nullptr) {
      thread_buffer().in_use = false;
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* data() const { return data_; }

 private:
  struct Buffer {
    void* data = nullptr;
    size_t size = 0;
    bool in_use = false;
    ~Buffer() { std::free(data); }
  };
  static Buffer& thread_buffer() {
    thread_local Buffer buffer;
    return buffer;
  }
  static void* allocate(size_t bytes) {
    void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }

  void* data_ = nullptr;
  void* own_ = nullptr;
};

}  // namespace graft
