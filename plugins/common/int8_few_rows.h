// Products of a few rows of x with an Int8Weight. Weights alone are rounded, to 8 bits; where the processor
// multiplies whole numbers x is rounded as well (common/rounded_rows.h). Sums of groups are float.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "blocks.h"
#include "gemm.h"
#include "int8_weight.h"
#include "products.h"
#include "rounded_rows.h"
#include "whole_products.h"

namespace graft {

// sums[s][m] += x[m][k] * from[s][k], for one k.
template <int M, int S>
inline __attribute__((always_inline)) void int8_step(const float* const (&x)[M], int64_t k,
                                                     const int8_t* const (&from)[S], int64_t offset,
                                                     simd::Vec (&sums)[S][M][2]) {
  using namespace simd;
  Vec a[M];
  for (int m = 0; m < M; ++m) a[m] = broadcast(x[m][k]);
  for (int s = 0; s < S; ++s)
    for (int half = 0; half < 2; ++half) {
      const Vec w = load(from[s] + offset + half * kLanes);
      for (int m = 0; m < M; ++m) sums[s][m][half] = fma(a[m], w, sums[s][m][half]);
    }
}

// Products of M rows of x with the columns of S tiles that are `apart` tiles from one another. Meanwhile what
// comes next in each tile's stream is fetched. Not inlined: GCC 12 would spill accumulators.
template <int M, int S>
[[gnu::noinline]] void int8_tiles(const Matrix<float>& x, int64_t row, const Int8Weight& weight,
                                  int64_t first, int64_t apart, float (&out)[S][M][kTileColumns]) {
  using namespace simd;
  constexpr int64_t kSteps = std::max(4, 64 / kTileColumns);  // whole lines
  const float* xs[M];
  const int8_t* group[S];
  for (int m = 0; m < M; ++m) xs[m] = x[row + m];
  for (int s = 0; s < S; ++s) group[s] = weight.tile(first + s * apart);
  Vec totals[S][M][2];
  for (int s = 0; s < S; ++s)
    for (int m = 0; m < M; ++m) totals[s][m][0] = totals[s][m][1] = zero();

  for (int64_t k = 0; k < weight.depth(); k += Int8Weight::kGroup) {
    const int64_t count = weight.group_depth(k);
    const int8_t* from[S];
    Vec sums[S][M][2];
    for (int s = 0; s < S; ++s) {
      from[s] = Int8Weight::values(group[s]);
      for (int m = 0; m < M; ++m) sums[s][m][0] = sums[s][m][1] = zero();
    }
    int64_t i = 0;
    for (; i + kSteps <= count; i += kSteps) {
      for (int s = 0; s < S; ++s)
        for (int64_t line = 0; line < kSteps * kTileColumns; line += 64)
          fetch_stream(from[s] + i * kTileColumns + line);
#pragma GCC unroll 8
      for (int64_t j = 0; j < kSteps; ++j) int8_step(xs, k + i + j, from, (i + j) * kTileColumns, sums);
    }
    for (; i < count; ++i) int8_step(xs, k + i, from, i * kTileColumns, sums);

    for (int s = 0; s < S; ++s) {
      for (int half = 0; half < 2; ++half) {
        const Vec scale = load(Int8Weight::scales(group[s]) + half * kLanes);
        for (int m = 0; m < M; ++m) totals[s][m][half] = fma(sums[s][m][half], scale, totals[s][m][half]);
      }
      group[s] = from[s] + count * kTileColumns;
    }
  }
  for (int s = 0; s < S; ++s)
    for (int m = 0; m < M; ++m)
      for (int half = 0; half < 2; ++half) store(out[s][m] + half * kLanes, totals[s][m][half]);
}

#if defined(GRAFT_WHOLE_PRODUCTS)
// The same of rows that are rounded and weights that stand together.
template <int M, int S>
[[gnu::noinline]] void whole_tiles(const Int8Rows& x, int64_t row, const Int8Weight& weight, int64_t first,
                                   int64_t apart, float (&out)[S][M][kTileColumns]) {
  using namespace simd;
  constexpr int64_t kTogether = whole::kTogether;
  constexpr int64_t kStep = std::max<int64_t>(kTogether, 64 / kTileColumns);  // whole lines
  const Int8Rows::Group* xs[M];
  const int8_t* group[S];
  for (int m = 0; m < M; ++m) xs[m] = x.groups(row + m);
  for (int s = 0; s < S; ++s) group[s] = weight.tile(first + s * apart);
  Vec totals[S][M][2] = {};

  for (int64_t k = 0; k < weight.depth(); k += Int8Weight::kGroup) {
    const int64_t count = weight.group_depth(k);
    whole::Sums sums[S][M][2] = {};
    const auto together = [&](int64_t i) __attribute__((always_inline)) {
      whole::Factors factors[M];
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) factors[m] = whole::broadcast(xs[m]->numbers, i);
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) {
        const int8_t* from = Int8Weight::values(group[s]) + i * kTileColumns;
#pragma GCC unroll 8
        for (int half = 0; half < 2; ++half) {
          const whole::Weights w = whole::load(from + half * kTogether * kLanes);
#pragma GCC unroll 8
          for (int m = 0; m < M; ++m) whole::add_products(sums[s][m][half], w, factors[m]);
        }
      }
    };
    int64_t i = 0;
    for (; i + kStep <= count; i += kStep) {
      for (int s = 0; s < S; ++s)
        for (int64_t line = 0; line < kStep * kTileColumns; line += 64)
          fetch_stream(Int8Weight::values(group[s]) + i * kTileColumns + line);
#pragma GCC unroll 8
      for (int64_t j = 0; j < kStep; j += kTogether) together(i + j);
    }
    for (; i < count; i += kTogether) together(i);
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
#pragma GCC unroll 8
      for (int half = 0; half < 2; ++half) {
        const Vec scale = load(Int8Weight::scales(group[s]) + half * kLanes);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
          const Vec sum = whole::result(sums[s][m][half], xs[m]->total);
          totals[s][m][half] = fma(sum * scale, broadcast(xs[m]->scale), totals[s][m][half]);
        }
      }
      group[s] += Int8Weight::group_bytes(count);
    }
    for (int m = 0; m < M; ++m) ++xs[m];
  }
  for (int s = 0; s < S; ++s)
    for (int m = 0; m < M; ++m)
      for (int half = 0; half < 2; ++half) store(out[s][m] + half * kLanes, totals[s][m][half]);
}
#endif

// The same of rows that could not be rounded: rare, and so without any haste.
template <int M, int S>
[[gnu::noinline]] void unpacked_tiles(const Matrix<float>& x, int64_t row, const Int8Weight& weight,
                                      int64_t first, int64_t apart, float (&out)[S][M][kTileColumns]) {
  float values[Int8Weight::kGroup * kTileColumns];
  for (int s = 0; s < S; ++s) {
    const int8_t* group = weight.tile(first + s * apart);
    std::fill_n(out[s][0], M * kTileColumns, 0.0f);
    for (int64_t k = 0; k < weight.depth(); k += Int8Weight::kGroup) {
      const int64_t count = weight.group_depth(k);
      Int8Weight::unpack_group(group, count, values);
      register_tile<M, 1>(count, x[row] + k, x.stride, values, kTileColumns, kTileColumns, out[s][0],
                          kTileColumns, /*add=*/true);
      group += Int8Weight::group_bytes(count);
    }
  }
}

// How many tiles a product of so many rows reads at once, far from one another: as many as it takes for 8
// accumulators, which hide the latency of fma. Whole numbers in AVX-512's wide tiles need fewer, and AMD's
// processors read one stream of those faster: 8 bits decoded 1.07 to 1.1 times as fast (EPYC, Zen 4). An
// Intel Xeon (Sapphire Rapids) multiplied mostly 0.89 to 0.98 times as fast so, and AVX2's tiles on that EPYC
// 0.9 times.
inline constexpr int64_t kMostStreams = 4;
inline int64_t int8_streams(int64_t rows) {
  return std::max<int64_t>(1, (whole::prefers_one_stream() ? 1 : kMostStreams) / rows);
}

// write(row, column, count, products) for rows [row, row + M) of x and the columns of tiles [begin, end): of
// nine tiles in four streams three times three.
template <int M, class Write>
inline void int8_rows(const Int8Rows& x, int64_t row, const Int8Weight& weight, int64_t begin, int64_t end,
                      const Write& write) {
  const auto tiles = [&]<int S>(int64_t first, int64_t apart, std::integral_constant<int, S>)
      __attribute__((always_inline)) {
    float out[S][M][kTileColumns];
    if (!whole::available())
      int8_tiles<M, S>(x.x(), row, weight, first, apart, out);
    else if (!x.are_rounded())
      unpacked_tiles<M, S>(x.x(), row, weight, first, apart, out);
#if defined(GRAFT_WHOLE_PRODUCTS)
    else
      whole_tiles<M, S>(x, row, weight, first, apart, out);
#endif
    for (int s = 0; s < S; ++s) {
      const int64_t column = (first + s * apart) * kTileColumns;
      const int64_t count = std::min<int64_t>(kTileColumns, weight.columns() - column);
      for (int m = 0; m < M; ++m) write(row + m, column, count, out[s][m]);
    }
  };
  const int64_t streams = int8_streams(M), apart = (end - begin + streams - 1) / streams;
  for (int64_t i = begin; i < begin + apart; ++i) {
    const int64_t at_once = (end - i + apart - 1) / apart;
    if constexpr (kMostStreams / M == 4) {
      if (at_once == 4) tiles(i, apart, std::integral_constant<int, 4>{});
      if (at_once == 3) tiles(i, apart, std::integral_constant<int, 3>{});
    }
    if constexpr (kMostStreams / M >= 2) {
      if (at_once == 2) tiles(i, apart, std::integral_constant<int, 2>{});
    }
    if (at_once == 1) tiles(i, apart, std::integral_constant<int, 1>{});
  }
}

// The same for all rows of x, a few: each tile is read from memory once.
template <class Write>
void few_rows_times(const Int8Rows& x, const Int8Weight& weight, int64_t begin, int64_t end,
                    const Write& write) {
  constexpr int64_t kMost = 5;  // rows at once: 10 accumulators beside the operands, among 16 registers
  const auto rows = [&](int64_t row, int64_t count, int64_t from, int64_t to) {
    switch (count) {
      case 5:
        return int8_rows<5>(x, row, weight, from, to, write);
      case 4:
        return int8_rows<4>(x, row, weight, from, to, write);
      case 3:
        return int8_rows<3>(x, row, weight, from, to, write);
      case 2:
        return int8_rows<2>(x, row, weight, from, to, write);
      case 1:
        return int8_rows<1>(x, row, weight, from, to, write);
    }
  };
  const int64_t all = x.x().rows;
  if (all <= kMost) return rows(0, all, begin, end);
  const int64_t parts = (all + kMost - 1) / kMost;
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t row = all * part / parts;
      rows(row, all * (part + 1) / parts - row, tile, tile + 1);
    }
}

// Fetches line i of each of the streams in which few_rows_times of a single row reads these tiles.
inline void fetch_tiles(const Int8Weight& weight, int64_t begin, int64_t end, int64_t i) {
  const int64_t streams = int8_streams(/*rows=*/1), apart = (end - begin + streams - 1) / streams;
  fetch_line(weight.tile(begin), apart * weight.tile_bytes(), std::min(streams, end - begin), i);
}

// body(begin, end) for all tiles of a weight: one range for each thread, so that all read as much, but of 64
// KiB at least, which are worth a task, and of 512 KiB at most, so that others can help a thread that is
// late. What is not fetched ahead, the first pages of each range, weighs less than with more of them.
template <class Body>
void stream_tiles(const plugin::Call& call, const Int8Weight& weight, const Body& body) {
  const int64_t tile_bytes = std::max<int64_t>(1, kTileColumns * weight.depth());
  const int64_t threads = call.thread_count(), each = (weight.tiles() + threads - 1) / threads;
  const int64_t grain = std::clamp(each, (64 << 10) / tile_bytes + 1, (512 << 10) / tile_bytes + 1);
  call.parallel_for(weight.tiles(), grain, [&](int64_t begin, int64_t end, uint32_t) { body(begin, end); });
}

}  // namespace graft
