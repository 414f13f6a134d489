// One call of attention as its passes see it, and how rows of heads become reals.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "../common/heads.h"
#include "../common/reals.h"
#include "plan.h"
#include "visibility.h"

namespace graft {

inline constexpr int64_t kProductsPerTask = 65536;  // multiplications that are worth a thread's waking

// Keys: Heads, or what else key_rows() reads.
template <class T, class Keys = Heads<T>>
struct AttentionCall {
  using R = simd::Real<T>;
  Plan plan;
  Visibility visible;
  Heads<T> q;
  Keys k, v;
  R scale, softcap;
};

// Rows as reals [count, width] at `stride`; elements beyond the last are 0.
template <class T, class R = simd::Real<T>>
void copy_rows(const T* from, int64_t from_stride, int64_t count, int64_t width, R factor, R* to,
               int64_t stride) {
  for (int64_t row = 0; row < count; ++row) {
    simd::for_lanes(width, [&](int64_t i, auto n) {
      simd::store(to + row * stride + i,
                  simd::load(from + row * from_stride + i, n) * simd::broadcast(factor), n);
    });
    std::fill(to + row * stride + width, to + (row + 1) * stride, R{0});
  }
}

// The rows of a task's query heads, [task.rows, width] at `stride`, times `factor`.
template <class T, class R = simd::Real<T>>
Matrix<R> query_rows(const Heads<T>& from, const Task& task, int64_t width, R factor, R* memory,
                     int64_t stride) {
  for (int64_t g = 0; g < task.group; ++g)
    copy_rows(from.row(task.batch, task.key_head * task.group + g, task.first_token), from.token_stride,
              task.tokens, width, factor, memory + g * task.tokens * stride, stride);
  return {memory, task.rows, width, stride};
}

// Keys or values as reals in rows of `width`: in place if they are that already.
template <class T, class R = simd::Real<T>>
Matrix<R> key_rows(const Heads<T>& from, int64_t batch, int64_t key_head, int64_t first, int64_t count,
                   int64_t dim, int64_t width, R* memory) {
  const T* rows = from.row(batch, key_head, first);
  if constexpr (std::is_same_v<T, R>) {
    if (dim == width) return {rows, count, width, from.token_stride};
  }
  copy_rows(rows, from.token_stride, count, dim, R{1}, memory, width);
  return {memory, count, width, width};
}

}  // namespace graft
