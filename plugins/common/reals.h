// The rows of an input as reals (float, or double for float64) at an even distance: in place where they are
// that already, else copied to the workspace.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "products.h"
#include "rows.h"

namespace graft {

// Bump allocation from a call's workspace, each piece aligned to a cache line. Counting alone (null) gives
// the size.
class Workspace {
 public:
  explicit Workspace(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}
  template <class R>
  R* take(size_t count) {
    R* piece = memory_ == nullptr ? nullptr : reinterpret_cast<R*>(memory_ + used_);
    used_ += (count * sizeof(R) + 63) / 64 * 64;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_ = 0;
};

// What as_reals may need: an upper bound for any strides, so that it grows with the shape alone.
inline size_t reals_needed(const plugin::Tensor& x) {
  return size_t(x.numel());
}

template <class T>
Matrix<simd::Real<T>> as_reals(const plugin::Call& call, const Rows<const T>& rows, simd::Real<T>* memory) {
  if constexpr (std::is_same_v<T, simd::Real<T>>) {
    if (rows.evenly_spaced()) return {rows[0], rows.count(), rows.width(), rows.stride()};
  }
  const int64_t width = rows.width();
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width));
  call.parallel_for(rows.count(), grain, [&](int64_t begin, int64_t end, uint32_t) {
    for (int64_t row = begin; row < end; ++row) {
      simd::for_lanes(width, [&](int64_t i, auto n) {
        simd::store(memory + row * width + i, simd::load(rows[row] + i, n), n);
      });
    }
  });
  return {memory, rows.count(), width, width};
}
template <class T>
Matrix<simd::Real<T>> as_reals(const plugin::Call& call, const plugin::Tensor& x, simd::Real<T>* memory) {
  return as_reals(call, Rows<const T>(x), memory);
}

// A write for products (multiply, few_rows_times, many_rows_times) that rounds to the dtype of `to`.
template <class T>
auto into(const Rows<T>& to) {
  return [to](int64_t row, int64_t column, int64_t count, const simd::Real<T>* values) {
    T* target = to[row] + column;
    simd::for_lanes(count, [&](int64_t i, auto n) { store(target + i, simd::load(values + i, n), n); });
  };
}

}  // namespace graft
