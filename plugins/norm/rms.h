// The root mean square of a row, and the row scaled by it.
#pragma once

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>

#include "../common/rows.h"
#include "../common/simd.h"

namespace graft {

// Rows for one task: about 16k elements, some microseconds, well above what waking a thread costs.
inline int64_t rows_per_task(int64_t width) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width));
}

// Four accumulators hide the latency of the FMA. value(i, n) gives the row's lanes at i.
template <class R, class Value>
inline __attribute__((always_inline)) R sum_of_squares(int64_t width, const Value& value) {
  using namespace simd;
  const VecOf<R> nothing = broadcast(R{0});
  VecOf<R> sums[4] = {nothing, nothing, nothing, nothing};
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const VecOf<R> x = value(i + j * kLanes, std::integral_constant<int, kLanes>{});
      sums[j] = fma(x, x, sums[j]);
    }
  }
  for_lanes(width - i, [&](int64_t at, auto n) {
    const VecOf<R> x = value(i + at, n);
    sums[0] = fma(x, x, sums[0]);
  });
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class R>
R reciprocal_root(R sum_of_squares, int64_t width, double eps) {
  return R{1} / std::sqrt(sum_of_squares / R(width) + R(eps));
}

// 1 / sqrt(mean of squares + eps)
template <class T, class R = simd::Real<T>>
R row_rstd(const T* x, int64_t width, double eps) {
  const R squares = sum_of_squares<R>(
      width, [&](int64_t i, auto n) __attribute__((always_inline)) { return simd::load(x + i, n); });
  return reciprocal_root(squares, width, eps);
}

template <class X, class W, class O>
void scale_row(const X* x, simd::Real<X> rstd, const W* weight, O* out, int64_t width) {
  using namespace simd;
  const VecOf<X> factor = broadcast(rstd);
  for_lanes(width, [&](int64_t i, auto n) { store(out + i, load(x + i, n) * factor * load(weight + i, n), n); });
}

// out[row * width …] = x's rows [begin, end), each scaled by its own rstd and the weight; rstds: where to
// write these, may be null. While a row is scaled the next one is summed: the latency of sum, root and
// division is hidden.
template <class T, class W, class O>
void norm_rows(const Rows<const T>& x, int64_t begin, int64_t end, const W* weight, double eps, O* out,
               float* rstds = nullptr) {
  using namespace simd;
  using R = Real<T>;
  const int64_t width = x.width();
  R rstd = row_rstd(x[begin], width, eps);
  for (int64_t row = begin; row < end; ++row) {
    const T* values = x[row];
    O* to = out + row * width;
    if (rstds != nullptr) rstds[row] = float(rstd);
    if (row + 1 == end) return scale_row(values, rstd, weight, to, width);
    const T* next = x[row + 1];
    const VecOf<R> factor = broadcast(rstd);
    const R squares = sum_of_squares<R>(width, [=](int64_t i, auto n) {
      store(to + i, load(values + i, n) * factor * load(weight + i, n), n);
      return load(next + i, n);
    });
    rstd = reciprocal_root(squares, width, eps);
  }
}

// The same for all rows of x, on all threads.
template <class T, class W, class O>
void norm_rows(const plugin::Call& call, const Rows<const T>& x, const W* weight, double eps, O* out,
               float* rstds = nullptr) {
  call.parallel_for(x.count(), rows_per_task(x.width()), [&](int64_t begin, int64_t end, uint32_t) {
    norm_rows(x, begin, end, weight, eps, out, rstds);
  });
}

}  // namespace graft
