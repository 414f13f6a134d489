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
// more than enough, and leaves room for the operands among 16 registers. AVX-512 has 32: two tiles of columns
// side by side, 6 x 4 vectors, take 10 loads for 24 FMA, where 12 x 2 takes 14.
inline constexpr int kTileColumns = 2 * simd::kLanes;
inline constexpr int kTilesAtOnce = simd::kLanes == 16 ? 2 : 1;
// Columns that are packed at once: in float 48 x 1536 x 4 = 288 KiB stay in a 512 KiB L2 beside the rows
// below; processors with AVX-512 have 1 MiB and more.
inline constexpr int64_t kBlockColumns = simd::kLanes == 16 ? 96 : 48;
inline constexpr int64_t kBlockRows = 96;  // rows of x whose blocks of 96 x kBlockDepth stay in L2
// A packed tile of 256 x 16 floats, 16 KiB, stays in L1. With AVX-512 what is read of it keeps up from L2,
// and less often beginning anew counts for more.
inline constexpr int64_t kBlockDepth = simd::kLanes == 16 ? 768 : 256;

// c[M][T * kTileColumns] (+)= a[M][depth] * b[depth][T * kTileColumns], the columns of b in T tiles `b_tile`
// apart.
template <int M, int T, class R>
inline void register_tile(int64_t depth, const R* a, int64_t a_stride, const R* b, int64_t b_stride,
                          int64_t b_tile, R* c, int64_t c_stride, bool add) {
  using namespace simd;
  using Vec = VecOf<R>;
  constexpr int N = 2 * T;
  Vec sums[M][N];  // in registers: without the pragmas the compiler moves them there and back over the stack
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sums[m][n] = add ? load(c + m * c_stride + n * kLanes) : broadcast(R{0});
  for (int64_t k = 0; k < depth; ++k) {
    Vec bs[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) bs[n] = load(b + k * b_stride + n / 2 * b_tile + n % 2 * kLanes);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      const Vec x = broadcast(a[m * a_stride + k]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[m][n] = fma(x, bs[n], sums[m][n]);
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(c + m * c_stride + n * kLanes, sums[m][n]);
}

// body(row, column, shape) for all of [rows x columns] cut into register tiles; shape<M, T>: M rows and T
// tiles of columns, of which the last may reach beyond `columns`.
template <int M, int T>
struct TileShape {};
template <class Body>
inline __attribute__((always_inline)) void for_register_tiles(int64_t rows, int64_t columns,
                                                              const Body& body) {
  const auto across = [&]<int T>(int64_t column, std::integral_constant<int, T>)
      __attribute__((always_inline)) {
    constexpr int kRows = 6 * kTilesAtOnce / T;  // so many vectors that all registers have some
    int64_t row = 0;
    for (; row + kRows <= rows; row += kRows) body(row, column, TileShape<kRows, T>{});
    if constexpr (kRows > 6) {
      if (row + 6 <= rows) {
        body(row, column, TileShape<6, T>{});
        row += 6;
      }
    }
    switch (rows - row) {
      case 5:
        return body(row, column, TileShape<5, T>{});
      case 4:
        return body(row, column, TileShape<4, T>{});
      case 3:
        return body(row, column, TileShape<3, T>{});
      case 2:
        return body(row, column, TileShape<2, T>{});
      case 1:
        return body(row, column, TileShape<1, T>{});
    }
  };
  int64_t column = 0;
  for (; column + (kTilesAtOnce - 1) * kTileColumns < columns; column += kTilesAtOnce * kTileColumns)
    across(column, std::integral_constant<int, kTilesAtOnce>{});
  if (column < columns) across(column, std::integral_constant<int, 1>{});
}

// c[rows][columns] (+)= a[rows][depth] * b[depth][columns], the columns of b in tiles `b_tile` apart, whole
// ones: what is beyond the last column is written, too.
template <class R>
inline void tile_columns(int64_t rows, int64_t columns, int64_t depth, const R* a, int64_t a_stride,
                         const R* b, int64_t b_stride, int64_t b_tile, R* c, int64_t c_stride, bool add) {
  for_register_tiles(rows, columns, [&]<int M, int T>(int64_t row, int64_t column, TileShape<M, T>) {
    register_tile<M, T>(depth, a + row * a_stride, a_stride, b + column / kTileColumns * b_tile, b_stride,
                        b_tile, c + row * c_stride + column, c_stride, add);
  });
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
      tile_columns(rows, columns_, depth, x[row] + k, x.stride, packed_ + k * kTileColumns, kTileColumns,
                   depth_ * kTileColumns, c, stride, k > 0);
    }
    if (depth_ == 0) std::fill(c, c + rows * stride, R{0});
  }

 private:
  const R* packed_;
  int64_t columns_, depth_;
};

}  // namespace graft
