// Pieces of a call's workspace, each aligned to 256 bytes. Counting alone (null) gives the size.
#pragma once

#include <cstddef>

namespace graft::gpu {

class Pieces {
 public:
  explicit Pieces(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}

  template <class T>
  T* take(size_t count) {
    T* piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += (count * sizeof(T) + 255) / 256 * 256;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_ = 0;
};

}  // namespace graft::gpu
