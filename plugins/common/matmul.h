// Products of any two matrices, as backward needs them: either factor may lie transposed in memory, rows may
// have any stride, and the scratch is the same for every size. Both factors are packed block by block, which
// costs some tenth more than common/gemm.h, where the weight is packed once for all rows.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>
#include <span>

#include "gemm.h"
#include "reals.h"
#include "rows.h"
#include "simd.h"
#include "tiles.h"

namespace graft {

// A matrix whose element (i, j) is rows[i][j], or rows[j][i] if it lies transposed.
template <class T>
struct View {
  Rows<const T> rows;
  bool transposed = false;
  int64_t height() const { return transposed ? rows.width() : rows.count(); }
  int64_t width() const { return transposed ? rows.count() : rows.width(); }
};

template <class T>
View<T> transposed(const Rows<const T>& rows) {
  return {rows, true};
}

// One term of a sum of products.
template <class A, class B>
struct Product {
  View<A> left;
  View<B> right;
};

// to[r * stride + c] = from[row + r][column + c], then zeros up to `padded` columns.
template <class T, class R>
void copy_block(const Rows<const T>& from, int64_t row, int64_t rows, int64_t column, int64_t columns,
                int64_t padded, R* to, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r, to += stride) {
    const T* source = from[row + r] + column;
    simd::for_lanes(columns, [&](int64_t c, auto n) { simd::store(to + c, simd::load(source + c, n), n); });
    std::fill(to + columns, to + padded, R{0});
  }
}

// to[c * stride + r] = from[row + r][column + c], zeros for r up to `padded`, a multiple of kLanes.
template <class T, class R>
void transpose_block(const Rows<const T>& from, int64_t row, int64_t rows, int64_t column, int64_t columns,
                     int64_t padded, R* to, int64_t stride) {
  using namespace simd;
  for (int64_t r = 0; r < padded; r += kLanes) {
    const T* sources[kLanes];
    for (int i = 0; i < kLanes; ++i) sources[i] = r + i < rows ? from[row + r + i] + column : nullptr;
    for_lanes(columns, [&](int64_t c, auto n) {
      VecOf<R> block[kLanes];
      for (int i = 0; i < kLanes; ++i)
        block[i] = sources[i] != nullptr ? load(sources[i] + c, n) : broadcast(R{0});
      transpose(block);
      for (int i = 0; i < n; ++i) store(to + (c + i) * stride + r, block[i]);
    });
  }
}

// What one thread multiplies with: blocks of both factors and of the product.
template <class R>
class BlockMultiplier {
 public:
  // Packing moves 74k elements for 4.7M multiply-adds; all three blocks are 370 KiB in float. Where vectors are
  // twice as wide, and tiles wider still, it would weigh more: 115k for 12.6M, and 640 KiB.
  static constexpr int64_t kRows = simd::kLanes == 16 ? 256 : 192, kColumns = simd::kLanes == 16 ? 192 : 96;
  static constexpr int64_t kDepth = 256;
  static constexpr size_t kSize = size_t(kRows * kDepth + kDepth * kColumns + kRows * kColumns);

  // `memory`: kSize reals.
  explicit BlockMultiplier(R* memory)
      : left_(memory), right_(left_ + kRows * kDepth), result_(right_ + kDepth * kColumns) {}

  // Rows [row, row + rows) and columns [column, column + columns) of the sum of the products. The terms of an
  // element are added up in one order, whatever the block.
  template <class A, class B>
  void multiply(std::span<const Product<A, B>> sum, int64_t row, int64_t rows, int64_t column,
                int64_t columns) {
    bool add = false;
    for (const Product<A, B>& product : sum) {
      const int64_t depth = product.left.width();
      for (int64_t k = 0; k < depth; k += kDepth, add = true)
        add_terms(product, row, rows, column, columns, k, std::min(kDepth, depth - k), add);
    }
    if (!add) std::fill(result_, result_ + rows * kColumns, R{0});
  }

  // A row of the result, counted from the first of the block.
  R* operator[](int64_t row) { return result_ + row * kColumns; }

 private:
  template <class A, class B>
  void add_terms(const Product<A, B>& product, int64_t row, int64_t rows, int64_t column, int64_t columns,
                 int64_t k, int64_t depth, bool add) {
#if defined(GRAFT_TILES)
    if constexpr (std::is_same_v<A, simd::bf16> && std::is_same_v<B, simd::bf16>) {
      if (tiles::available()) return add_tiles(product, row, rows, column, columns, k, depth, add);
    }
#endif
    const R* left = left_;
    int64_t left_stride = kDepth;
    const Rows<const A>& left_rows = product.left.rows;
    if (product.left.transposed) {
      transpose_block(left_rows, k, depth, row, rows, padded_lanes(depth), left_, kDepth);
    } else if (std::is_same_v<A, R> && left_rows.evenly_spaced()) {
      left = reinterpret_cast<const R*>(left_rows[row] + k);
      left_stride = left_rows.stride();
    } else {
      copy_block(left_rows, row, rows, k, depth, depth, left_, kDepth);
    }
    for (int64_t c = 0; c < columns; c += kTileColumns) {
      const int64_t count = std::min<int64_t>(kTileColumns, columns - c);
      R* tile = right_ + c * kDepth;
      if (product.right.transposed)
        transpose_block(product.right.rows, column + c, count, k, depth, kTileColumns, tile, kTileColumns);
      else
        copy_block(product.right.rows, k, depth, column + c, count, kTileColumns, tile, kTileColumns);
    }
    tile_columns(rows, columns, depth, left, left_stride, static_cast<const R*>(right_), kTileColumns,
                 kTileColumns * kDepth, result_, kColumns, add);
  }
#if defined(GRAFT_TILES)
  // The same on tiles, 2 x 2 at a time: rows and columns are filled up to multiples of 32.
  void add_tiles(const Product<simd::bf16, simd::bf16>& product, int64_t row, int64_t rows, int64_t column,
                 int64_t columns, int64_t k, int64_t depth, bool add) {
    static_assert(kRows % 32 == 0 && kColumns % 32 == 0 && kDepth % tiles::kDepth == 0);
    constexpr int64_t kSteps = kDepth / tiles::kDepth;
    const int64_t whole_rows = tiles::whole_rows(rows);
    auto* packed_left = reinterpret_cast<simd::bf16*>(left_);
    auto* packed_right = reinterpret_cast<simd::bf16*>(right_);
    const simd::bf16* left = packed_left;
    int64_t left_stride = kDepth;
    const Rows<const simd::bf16>& left_rows = product.left.rows;
    if (!product.left.transposed && left_rows.evenly_spaced() && rows == whole_rows &&
        depth % tiles::kDepth == 0) {
      left = left_rows[row] + k;
      left_stride = left_rows.stride();
    } else {
      tiles::pack_left(left_rows, product.left.transposed, row, rows, k, depth, packed_left, kDepth);
      for (int64_t r = (rows + 15) / 16 * 16; r < whole_rows; ++r)
        std::fill_n(packed_left + r * kDepth, kDepth, simd::bf16{0});
    }
    tiles::pack_right(product.right.rows, !product.right.transposed, k, depth, column, columns, packed_right,
                      kSteps);
    const tiles::InUse in_use;
    const int64_t steps = tiles::whole_depth(depth) / tiles::kDepth;
    tiles::multiply(steps, {left, left_stride}, {packed_right, 16 * kDepth}, rows, columns, result_, kColumns,
                    add);
  }
#endif
  static int64_t padded_lanes(int64_t n) { return (n + simd::kLanes - 1) / simd::kLanes * simd::kLanes; }

  R *left_, *right_, *result_;
};

// body(row, rows, column, columns, worker) for all blocks of a product [rows x columns].
template <class R, class Body>
void for_product_blocks(const plugin::Call& call, int64_t rows, int64_t columns, const Body& body) {
  constexpr int64_t kRows = BlockMultiplier<R>::kRows, kColumns = BlockMultiplier<R>::kColumns;
  const int64_t down = (rows + kRows - 1) / kRows, across = (columns + kColumns - 1) / kColumns;
  call.parallel_for(down * across, 1, [&](int64_t begin, int64_t end, uint32_t worker) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task % down * kRows, column = task / down * kColumns;
      body(row, std::min(kRows, rows - row), column, std::min(kColumns, columns - column), worker);
    }
  });
}

// write(row, column, count, values) for stretches that cover the sum of the products; `scratch` holds kSize
// reals for each thread. write may run on several threads at once, for different elements.
template <class R, class A, class B, class Write>
void multiply(const plugin::Call& call, R* scratch, std::span<const Product<A, B>> sum, const Write& write) {
  const int64_t rows = sum[0].left.height(), columns = sum[0].right.width();
  for_product_blocks<R>(call, rows, columns,
                        [&](int64_t row, int64_t count, int64_t column, int64_t width, uint32_t worker) {
                          BlockMultiplier<R> block(scratch + worker * BlockMultiplier<R>::kSize);
                          block.multiply(sum, row, count, column, width);
                          for (int64_t r = 0; r < count; ++r) write(row + r, column, width, block[r]);
                        });
}
template <class R, class A, class B, class Write>
void multiply(const plugin::Call& call, R* scratch, const Product<A, B>& product, const Write& write) {
  multiply(call, scratch, std::span<const Product<A, B>>(&product, 1), write);
}

}  // namespace graft
