// Products of many rows with a weight, held back by arithmetic alone: register tiles, packed weight columns,
// blocks sized for the caches. Everything is float (or double) by then; bf16 is widened as
// it is packed.
//
// Source of the scheme: Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication";
// BLIS.
#pragma once

#include <algorithm>

#include "products.h"
#include "simd.h"

namespace graft {

// A register tile: 6 x 2 vectors are 12 accumulators, which with AVX2's two FMA per cycle and latency 4 is
// more than enough, and leaves room for the operands among 16 registers. AVX-512 has 32: with 12 x 2 fewer of
// the cycles are spent on loading.
inline constexpr int kTileRows = simd::kLanes == 16 ? 12 : 6;
inline constexpr int kTileColumns = 2 * simd::kLanes;
// Columns that are packed at once: in float 48 x 1536 x 4 = 288 KiB stay in a 512 KiB L2 beside the rows
// below; processors with AVX-512 have 1 MiB and more.
inline constexpr int64_t kBlockColumns = simd::kLanes == 16 ? 96 : 48;
inline constexpr int64_t kBlockRows = 96;    // rows of x whose block of 96 x 256 stays in L2
inline constexpr int64_t kBlockDepth = 256;  // a packed tile of 256 x 16 floats, 16 KiB, stays in L1

// c[M][kTileColumns] (+)= a[M][depth] * b[depth][kTileColumns]
template <int M, class R>
inline void register_tile(int64_t depth, const R* a, int64_t a_stride, const R* b, int64_t b_stride, R* c,
                          int64_t c_stride, bool add) {
  using namespace simd;
  using Vec = VecOf<R>;
  Vec sums[M][2];
  for (int m = 0; m < M; ++m) {
    sums[m][0] = add ? load(c + m * c_stride) : broadcast(R{0});
    sums[m][1] = add ? load(c + m * c_stride + kLanes) : broadcast(R{0});
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Vec b0 = load(b + k * b_stride), b1 = load(b + k * b_stride + kLanes);
    for (int m = 0; m < M; ++m) {
      const Vec x = broadcast(a[m * a_stride + k]);
      sums[m][0] = fma(x, b0, sums[m][0]);
      sums[m][1] = fma(x, b1, sums[m][1]);
    }
  }
  for (int m = 0; m < M; ++m) {
    store(c + m * c_stride, sums[m][0]);
    store(c + m * c_stride + kLanes, sums[m][1]);
  }
}

// The same for `rows` rows.
template <class R>
inline void tile_column(int64_t rows, int64_t depth, const R* a, int64_t a_stride, const R* b,
                        int64_t b_stride, R* c, int64_t c_stride, bool add) {
  const auto tile = [&]<int M>(std::integral_constant<int, M>) {
    register_tile<M>(depth, a, a_stride, b, b_stride, c, c_stride, add);
    a += M * a_stride;
    c += M * c_stride;
    rows -= M;
  };
  while (rows >= kTileRows) tile(std::integral_constant<int, kTileRows>{});
  if constexpr (kTileRows > 6) {
    if (rows >= 6) tile(std::integral_constant<int, 6>{});
  }
  switch (rows) {
    case 5:
      return tile(std::integral_constant<int, 5>{});
    case 4:
      return tile(std::integral_constant<int, 4>{});
    case 3:
      return tile(std::integral_constant<int, 3>{});
    case 2:
      return tile(std::integral_constant<int, 2>{});
    case 1:
      return tile(std::integral_constant<int, 1>{});
  }
}

// `columns` in whole register tiles.
inline int64_t padded_columns(int64_t columns) {
  return (columns + kTileColumns - 1) / kTileColumns * kTileColumns;
}

// Some columns of x @ weight^T, that is some rows of the weight, laid out for register_tile: tile after tile,
// each [depth][kTileColumns]; columns beyond the last are 0. Holds size(columns, depth) reals.
template <class R>
class PackedColumns {
 public:
  static size_t size(int64_t columns, int64_t depth) { return size_t(padded_columns(columns) * depth); }

  template <class W>
  PackedColumns(R* memory, const W* weight, int64_t stride, int64_t columns, int64_t depth)
      : packed_(memory), columns_(columns), depth_(depth) {
    using namespace simd;
    for (int64_t column = 0; column < padded_columns(columns); column += kLanes) {
      R* to = memory + column / kTileColumns * depth * kTileColumns + column % kTileColumns;
      for_lanes(depth, [&](int64_t k, auto n) {
        VecOf<R> block[kLanes];
        for (int i = 0; i < kLanes; ++i)
          block[i] = column + i < columns ? load(weight + (column + i) * stride + k, n) : broadcast(R{0});
        transpose(block);
        for (int i = 0; i < n; ++i) store(to + (k + i) * kTileColumns, block[i]);
      });
    }
  }

  // Of memory that was filled so by somebody else.
  PackedColumns(const R* memory, int64_t columns, int64_t depth)
      : packed_(memory), columns_(columns), depth_(depth) {}

  // Width of the rows that multiply() writes.
  int64_t width() const { return padded_columns(columns_); }

  // c[rows][width()], a row every `stride` floats, = x[row … row + rows] @ these columns
  void multiply(const Matrix<R>& x, int64_t row, int64_t rows, R* c, int64_t stride) const {
    for (int64_t k = 0; k < depth_; k += kBlockDepth) {
      const int64_t depth = std::min(kBlockDepth, depth_ - k);
      for (int64_t column = 0; column < columns_; column += kTileColumns) {
        const R* b = packed_ + column * depth_ + k * kTileColumns;
        tile_column(rows, depth, x[row] + k, x.stride, b, kTileColumns, c + column, stride, k > 0);
      }
    }
    if (depth_ == 0) std::fill(c, c + rows * stride, R{0});
  }

 private:
  const R* packed_;
  int64_t columns_, depth_;
};

}  // namespace graft
