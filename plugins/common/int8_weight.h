// Int8Weight: the weight of out = x @ weight^T in 8 bits and in an order in which it streams from memory, and
// its products with x. Weights alone are rounded: x and sums are float, so an infinity or a NaN of x spreads
// as in float.
//
// Each kGroup weights of a row, along its depth, share a scale: weight ~ scale * q, q in [-127, 127], the
// scale being the largest |weight| / 127; the error is at most scale / 2. Source: round-to-nearest with
// absolute maxima, as in Dettmers et al. 2022, arXiv:2208.07339, without their outlier columns.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "blocks.h"
#include "gemm.h"
#include "packed_memory.h"
#include "products.h"
#include "simd.h"

namespace graft {

class Int8Weight {
 public:
  static constexpr int64_t kGroup = 64;

  Int8Weight() = default;

  // Of a weight [columns][depth], row-major: column of the product, row of the weight. Throws Unsupported for
  // one that is infinite or not a number. A group whose largest weight is below 1.5e-36, where 1 / scale is
  // infinite, is zeros.
  template <class W>
  Int8Weight(const W* weight, int64_t columns, int64_t depth)
      : columns_(columns),
        depth_(depth),
        tile_bytes_((depth * kTileColumns + groups() * kScaleBytes + kLine - 1) / kLine * kLine),
        memory_(size_t(tiles() * tile_bytes_)) {
    for (int64_t tile = 0; tile < tiles(); ++tile)
      for (int half = 0; half < 2; ++half) pack(weight, tile, half * simd::kLanes);
  }

  int64_t columns() const { return columns_; }
  int64_t depth() const { return depth_; }
  int64_t tiles() const { return padded_columns(columns_) / kTileColumns; }

  // Tile i: columns [i, i + 1) * kTileColumns, those beyond the last being zeros. For each group of its depth
  // float scales[kTileColumns], then int8 q[depth of the group][kTileColumns].
  const int8_t* tile(int64_t i) const { return memory_.data<int8_t>() + i * tile_bytes_; }
  static const float* scales(const int8_t* group) { return reinterpret_cast<const float*>(group); }
  static const int8_t* values(const int8_t* group) { return group + kScaleBytes; }
  int64_t group_depth(int64_t k) const { return std::min(kGroup, depth_ - k); }

  // Columns [first, first + count), of which the first stands at the beginning of a tile, as floats for
  // PackedColumns.
  PackedColumns<float> unpack(int64_t first, int64_t count, float* memory) const {
    using namespace simd;
    float* to = memory;
    for (int64_t i = first / kTileColumns; i * kTileColumns < first + count; ++i) {
      const int8_t* from = tile(i);
      for (int64_t k = 0; k < depth_; k += kGroup) {
        const Vec scale0 = load(scales(from)), scale1 = load(scales(from) + kLanes);
        from = values(from);
        for (int64_t end = k + group_depth(k), at = k; at < end; ++at) {
          store(to, load(from) * scale0);
          store(to + kLanes, load(from + kLanes) * scale1);
          from += kTileColumns, to += kTileColumns;
        }
      }
    }
    return {memory, count, depth_};
  }

 private:
  static constexpr int64_t kScaleBytes = kTileColumns * int64_t{sizeof(float)};
  static constexpr int64_t kLine = 64;

  int64_t groups() const { return (depth_ + kGroup - 1) / kGroup; }

  // kLanes columns of a tile, from `half` on.
  template <class W>
  void pack(const W* weight, int64_t tile, int half) {
    using namespace simd;
    const int64_t column = tile * kTileColumns + half;
    int8_t* to = memory_.data<int8_t>() + tile * tile_bytes_;
    for (int64_t k = 0; k < depth_; k += kGroup) {
      const int64_t count = group_depth(k);
      float scale[kLanes] = {}, inverse[kLanes] = {};
      for (int i = 0; i < kLanes && column + i < columns_; ++i) {
        constexpr float kSmallest = 1.5e-36f;
        const float largest = largest_of(weight + (column + i) * depth_ + k, count);
        if (largest >= kSmallest) scale[i] = largest / 127, inverse[i] = 127 / largest;
      }
      std::copy_n(scale, kLanes, reinterpret_cast<float*>(to) + half);
      to += kScaleBytes;
      for_lanes(count, [&](int64_t at, auto n) {
        Vec block[kLanes];
        for (int i = 0; i < kLanes; ++i)
          block[i] = column + i < columns_ ? load(weight + (column + i) * depth_ + k + at, n) : zero();
        transpose(block);
        for (int i = 0; i < n; ++i) store(to + (at + i) * kTileColumns + half, block[i] * load(inverse));
      });
      to += count * kTileColumns;
    }
  }

  template <class W>
  static float largest_of(const W* weights, int64_t count) {
    using namespace simd;
    Vec largest = zero(), finite = zero();  // 0 * w is NaN for an infinity, too
    for_lanes(count, [&](int64_t i, auto n) {
      const Vec w = load(weights + i, n);
      largest = max(largest, max(w, zero() - w));
      finite = fma(w, zero(), finite);
    });
    if (sum(finite) != 0)
      throw plugin::Unsupported("a weight is infinite or not a number, which 8 bits do not hold");
    float lanes[kLanes];
    store(lanes, largest);
    return *std::max_element(lanes, lanes + kLanes);
  }

  int64_t columns_ = 0, depth_ = 0, tile_bytes_ = 0;
  PackedMemory memory_;
};

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
// lies kFetchAhead bytes further on in each tile's stream is fetched. Not inlined: GCC 12 would spill
// accumulators.
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
          __builtin_prefetch(from[s] + i * kTileColumns + line + kFetchAhead);
#pragma GCC unroll 8
      for (int64_t j = 0; j < kSteps; ++j) int8_step(xs, k + i + j, from, (i + j) * kTileColumns, sums);
    }
    for (; i < count; ++i) int8_step(xs, k + i, from, i * kTileColumns, sums);

    for (int s = 0; s < S; ++s) {
      for (int half = 0; half < 2; ++half) {
        const Vec scale = load(Int8Weight::scales(group[s]) + half * kLanes);
        for (int m = 0; m < M; ++m)
          totals[s][m][half] = fma(sums[s][m][half], scale, totals[s][m][half]);
      }
      group[s] = from[s] + count * kTileColumns;
    }
  }
  for (int s = 0; s < S; ++s)
    for (int m = 0; m < M; ++m)
      for (int half = 0; half < 2; ++half) store(out[s][m] + half * kLanes, totals[s][m][half]);
}

// write(row, column, count, products) for rows [row, row + M) of x and the columns of tiles [begin, end). Of
// few rows as many tiles at once, far from one another, as it takes for 8 accumulators, which hide the
// latency of fma: of nine tiles three times three.
template <int M, class Write>
inline void int8_rows(const Matrix<float>& x, int64_t row, const Int8Weight& weight, int64_t begin,
                      int64_t end, const Write& write) {
  const auto tiles = [&]<int S>(int64_t first, int64_t apart, std::integral_constant<int, S>)
      __attribute__((always_inline)) {
    float out[S][M][kTileColumns];
    int8_tiles<M, S>(x, row, weight, first, apart, out);
    for (int s = 0; s < S; ++s) {
      const int64_t column = (first + s * apart) * kTileColumns;
      const int64_t count = std::min<int64_t>(kTileColumns, weight.columns() - column);
      for (int m = 0; m < M; ++m) write(row + m, column, count, out[s][m]);
    }
  };
  constexpr int kStreams = std::max(1, 4 / M);
  const int64_t apart = (end - begin + kStreams - 1) / kStreams;
  for (int64_t i = begin; i < begin + apart; ++i) {
    const int64_t at_once = (end - i + apart - 1) / apart;
    if constexpr (kStreams == 4) {
      if (at_once == 4) tiles(i, apart, std::integral_constant<int, 4>{});
      if (at_once == 3) tiles(i, apart, std::integral_constant<int, 3>{});
    }
    if constexpr (kStreams >= 2) {
      if (at_once == 2) tiles(i, apart, std::integral_constant<int, 2>{});
    }
    if (at_once == 1) tiles(i, apart, std::integral_constant<int, 1>{});
  }
}

// The same for all rows of x, a few: each tile is read from memory once.
template <class Write>
void few_rows_times(const Matrix<float>& x, const Int8Weight& weight, int64_t begin, int64_t end,
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
  if (x.rows <= kMost) return rows(0, x.rows, begin, end);
  const int64_t parts = (x.rows + kMost - 1) / kMost;
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t row = x.rows * part / parts;
      rows(row, x.rows * (part + 1) / parts - row, tile, tile + 1);
    }
}

// body(begin, end) for all tiles of a weight: one range for each thread, so that all read as much, but of 64 KiB
// at least, which are worth a task, and of 512 KiB at most, so that others can help a thread that is late. What
// is not fetched ahead, the first pages of each range, weighs less than with more of them.
template <class Body>
void stream_tiles(const plugin::Call& call, const Int8Weight& weight, const Body& body) {
  const int64_t tile_bytes = std::max<int64_t>(1, kTileColumns * weight.depth());
  const int64_t threads = call.thread_count(), each = (weight.tiles() + threads - 1) / threads;
  const int64_t grain = std::clamp(each, (64 << 10) / tile_bytes + 1, (512 << 10) / tile_bytes + 1);
  call.parallel_for(weight.tiles(), grain, [&](int64_t begin, int64_t end, uint32_t) { body(begin, end); });
}

}  // namespace graft
