// Columns of a weight of 8 bits as right factors of rows that are rounded to whole numbers, in pairs:
// products of many rows, see common/many_rows.h.
#pragma once

#include <algorithm>

#include "gemm.h"
#include "rounded_rows.h"
#include "whole_products.h"

namespace graft {

#if defined(GRAFT_WHOLE_PRODUCTS)

class WholeColumns {
 public:
  using Rows = RoundedRows<whole::PairNumbers>;

  // `memory`: room for many_rows_scratch() reals, filled as Int8Weight::unpack_pairs() says.
  template <class W>
  WholeColumns(const W& weight, int64_t first, int64_t count, int16_t* memory)
      : memory_(memory), columns_(count), groups_(whole::groups_of(weight.depth())) {
    weight.unpack_pairs(first, count, memory);
  }

  // products[rows][stride] = x[row … row + rows] @ these columns, in whole register tiles.
  void multiply(const Rows& x, int64_t row, int64_t rows, float* products, int64_t stride) const {
    for_register_tiles(rows, columns_, [&]<int M, int T>(int64_t r, int64_t column, TileShape<M, T>) {
      multiply_tile<M, T>(x.groups(row + r), memory_ + column / kTileColumns * groups_ * kGroupSize,
                          products + r * stride + column, stride);
    });
  }

 private:
  static constexpr int64_t kScales = 2 * kTileColumns;  // in numbers of 16 bits
  static constexpr int64_t kGroupSize = kScales + whole::kGroup * kTileColumns;

  // Sums of a group are whole numbers, and of groups floats, in `products`: registers hold the former alone. Not
  // inlined: GCC 12 would spill them.
  template <int M, int T>
  [[gnu::noinline]] void multiply_tile(const Rows::Group* x, const int16_t* tile, float* products,
                                       int64_t stride) const {
    using namespace simd;
    constexpr int N = 2 * T;
    const int64_t groups = groups_;  // in a register
    // Vector n of the columns, where tile 0 has `first`.
    const auto at = [&](const int16_t* first, int n) {
      return first + n / 2 * groups * kGroupSize + n % 2 * 2 * kLanes;
    };
    const auto to = [&](int m, int n) { return products + m * stride + n * kLanes; };
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) store(to(m, n), zero());
    for (int64_t group = 0; group < groups; ++group, ++x, tile += kGroupSize) {
      whole::PairSums sums[M][N] = {};
      for (int64_t k = 0; k < whole::kGroup; k += 2) {
        whole::PairWeights weights[N];
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) weights[n] = whole::load(at(tile + kScales + k * kTileColumns, n));
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
          const whole::PairFactors factors = whole::broadcast(x[m * groups].numbers, k);
#pragma GCC unroll 4
          for (int n = 0; n < N; ++n) whole::add_products(sums[m][n], weights[n], factors);
        }
      }
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        const Vec scale = load(reinterpret_cast<const float*>(at(tile, n)));
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m)
          store(to(m, n),
                fma(whole::result(sums[m][n]) * scale, broadcast(x[m * groups].scale), load(to(m, n))));
      }
    }
  }

  const int16_t* memory_;
  int64_t columns_, groups_;
};

#endif

}  // namespace graft
