// Products of a few rows with a weight: each weight row is read once from memory, where the time goes.
#pragma once

#include <algorithm>

#include "simd.h"

namespace graft {

// Rows of reals (float or double), row i at data + i * stride.
template <class R>
struct Matrix {
  const R* data;
  int64_t rows, width, stride;
  const R* operator[](int64_t row) const { return data + row * stride; }
};

// Bytes ahead in each stream: a page, so that its address is translated by the time it is read.
inline constexpr int64_t kFetchAhead = 4096;

// Of a stream that is read at `at`: into L2 what lies `ahead` elements further on, into L1 what comes soon. At
// once into L1 fewer lines are on their way together: 8 bits decoded 8 % slower so.
template <class W>
inline void fetch_stream(const W* at, int64_t ahead = kFetchAhead / int64_t{sizeof(W)}) {
  constexpr int64_t kSoon = 1024 / int64_t{sizeof(W)};
  __builtin_prefetch(at + ahead, 0, 2);
  __builtin_prefetch(at + kSoon);
}

// Products of M rows of x with N weight rows: out[m][n]. M x N accumulators stay in registers. If Fetch, what
// lies `ahead` elements further on in each weight row's stream is fetched meanwhile: the processor's own
// prefetchers stop at the end of a page.
template <bool Fetch, int M, int N, class R, class W>
inline void dot_tile(const Matrix<R>& x, int64_t row, const W* weight, int64_t weight_stride, int64_t ahead,
                     R (&out)[M][N]) {
  using namespace simd;
  using Vec = VecOf<R>;
  const R* xs[M];
  const W* ws[N];
  for (int m = 0; m < M; ++m) xs[m] = x[row + m];
  for (int n = 0; n < N; ++n) ws[n] = weight + n * weight_stride;
  Vec sums[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) sums[m][n] = broadcast(R{0});

  const auto step = [&](int64_t i, auto count) __attribute__((always_inline)) {
    Vec w[N];
    for (int n = 0; n < N; ++n) w[n] = load(ws[n] + i, count);
    for (int m = 0; m < M; ++m) {
      const Vec a = load(xs[m] + i, count);
      for (int n = 0; n < N; ++n) sums[m][n] = fma(a, w[n], sums[m][n]);
    }
  };
  constexpr int kLine = std::max<int>(64 / sizeof(W), kLanes);
  int64_t i = 0;
  for (; i + kLine <= x.width; i += kLine) {
    if constexpr (Fetch)
      for (int n = 0; n < N; ++n) fetch_stream(ws[n] + i, ahead);
    for (int j = 0; j < kLine; j += kLanes) step(i + j, std::integral_constant<int, kLanes>{});
  }
  for (; i + kLanes <= x.width; i += kLanes) step(i, std::integral_constant<int, kLanes>{});
  if (i < x.width) step(i, x.width - i);

  for (int m = 0; m < M; ++m) {
    if constexpr (N == 4) {
      sum4(sums[m][0], sums[m][1], sums[m][2], sums[m][3], out[m]);
    } else {
      for (int n = 0; n < N; ++n) out[m][n] = sum(sums[m][n]);
    }
  }
}

// Fetches line i of each of `count` streams of `length` elements, one behind the other, as far as they may be
// fetched before they are read: a quarter of a 512 KiB L2 all together.
template <class W>
inline void fetch_line(const W* first, int64_t length, int64_t count, int64_t i) {
  constexpr int64_t kLine = 64 / sizeof(W), kMost = (128 << 10) / 64;
  if (i * kLine >= length || i * count >= kMost) return;
  for (int64_t s = 0; s < count; ++s) __builtin_prefetch(first + s * length + i * kLine, 0, 2);
}

// write(row, column, value) for all rows of x and weight rows [begin, end), in tiles of up to 3 x 4, or 6 x 4
// of floats where there are registers for it. The weight rows of a tile are a quarter of the range apart:
// four long streams, which one core reads at 20 GB/s where four neighbouring rows gave 12 (AMD EPYC, 1 of 2
// cores).
template <class R, class W, class Write>
void few_rows_times(const Matrix<R>& x, const W* weight, int64_t weight_stride, int64_t begin, int64_t end,
                    const Write& write, int64_t ahead = kFetchAhead / int64_t{sizeof(W)}) {
  constexpr bool kWide = simd::kLanes == 16 && std::is_same_v<W, float>;
  constexpr int64_t kMost = kWide ? 6 : 3;
  using FetchAgain = std::bool_constant<!kWide>;  // for further rows: half of a wide tile's time, else none
  const int64_t quarter = (end - begin) / 4;
  const auto tile = [&]<int M, int N, bool Fetch>(
      std::integral_constant<int, M>, std::integral_constant<int, N>, std::bool_constant<Fetch>, int64_t row,
      int64_t column) __attribute__((always_inline)) {
    R out[M][N];
    dot_tile<Fetch, M, N>(x, row, weight + column * weight_stride, quarter * weight_stride, ahead, out);
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) write(row + m, column + n * quarter, out[m][n]);
  };
  const auto rows = [&](int64_t row, int64_t column, auto n, auto fetch) __attribute__((always_inline)) {
    const int64_t count = std::min(kMost, x.rows - row);
    if constexpr (kMost == 6) {
      if (count == 6) tile(std::integral_constant<int, 6>{}, n, fetch, row, column);
      if (count == 5) tile(std::integral_constant<int, 5>{}, n, fetch, row, column);
      if (count == 4) tile(std::integral_constant<int, 4>{}, n, fetch, row, column);
    }
    if (count == 3) tile(std::integral_constant<int, 3>{}, n, fetch, row, column);
    if (count == 2) tile(std::integral_constant<int, 2>{}, n, fetch, row, column);
    if (count == 1) tile(std::integral_constant<int, 1>{}, n, fetch, row, column);
  };
  const auto columns = [&](int64_t column, auto n) __attribute__((always_inline)) {
    rows(0, column, n, std::true_type{});
    for (int64_t row = kMost; row < x.rows; row += kMost) rows(row, column, n, FetchAgain{});
  };
  for (int64_t column = begin; column < begin + quarter; ++column)
    columns(column, std::integral_constant<int, 4>{});
  for (int64_t column = begin + 4 * quarter; column < end; ++column)
    columns(column, std::integral_constant<int, 1>{});
}

}  // namespace graft
