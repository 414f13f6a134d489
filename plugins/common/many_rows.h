// Products of many rows of x with a weight, which wait for arithmetic: block by block of the weight's
// columns, laid out as reals for common/gemm.h; or, where that is exact enough and the processor multiplies
// it faster (common/tiles.h), as tiles of bfloat16, in one part or as the sum of two, high and low, and x as
// well. Without the product of the low ones two parts round as 16 bits do. Else a weight of 8 bits is
// multiplied as whole numbers, and x rounded to such (common/whole_columns.h). Rows that are infinite, no
// numbers or tiny are multiplied as reals: so an infinity or a NaN spreads as in float. Source: Henry, Tang
// and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
// Computations", arXiv:1904.06376.
//
// A weight W [columns][depth] says how: W::kParts<T>, the parts that it is exact enough in for a model in T,
// 0 if in none; W::kWhole, whether it is whole numbers; W::kStreamedRows, up to how many rows it is faster
// read as it lies than laid out as reals, by stream(); columns() and depth(); unpack(first, count, memory),
// PackedColumns of some columns; where it has parts unpack_tiles<Parts>(first, count, TileColumns' memory),
// and where it is whole unpack_pairs(first, count, WholeColumns' memory).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <graft/plugin.hpp>
#include <optional>
#include <utility>

#include "blocks.h"
#include "gemm.h"
#include "products.h"
#include "simd.h"
#include "tiles.h"
#include "whole_columns.h"

namespace graft {

// Up to here a weight is streamed from memory (common/products.h, common/int8_few_rows.h): faster than laying
// it out.
inline constexpr int64_t kFewRows = 16;

// Many rows as many_rows_times takes them: in Parts parts where that can be, else as whole numbers if they
// may be such.
template <class R, int Parts, bool Whole>
class ManyRows {
  using Rounded = RoundedRows<whole::PairNumbers>;

 public:
  // For needed(rows, depth) bytes of memory.
  ManyRows(const plugin::Call& call, const Matrix<R>& x, std::byte* memory)
      : x_(x), parts_(reinterpret_cast<simd::bf16*>(memory)) {
    if constexpr (Parts > 0) in_tiles_ = in_parts() && round(call);
    if constexpr (Whole) {
      if (!in_parts()) rounded_.emplace(call, x, reinterpret_cast<Rounded::Group*>(memory));
    }
  }
  static size_t needed(int64_t rows, int64_t depth) {
    if (in_parts()) return size_t((rows + kMargin) * stride_of(depth)) * sizeof(simd::bf16);
    return Whole && whole::available() ? Rounded::needed(rows, depth) * sizeof(Rounded::Group) : 0;
  }

  const Matrix<R>& x() const { return x_; }
  // Null if they are not whole numbers.
  const Rounded* rounded() const { return rounded_ && rounded_->are_rounded() ? &*rounded_ : nullptr; }
  // Whether there are parts, in which 32 rows can be read from any on.
  bool in_tiles() const { return in_tiles_; }
  tiles::Factor left(int64_t row, int64_t step) const {
    const int64_t stride = stride_of(x_.width);
    return {parts_ + row * stride + step * tiles::kDepth, stride, tiles::whole_depth(x_.width)};
  }

 private:
  static bool in_parts() {
    if constexpr (Parts > 0) return tiles::available<Parts>();
    return false;
  }

  static constexpr int64_t kMargin = 31;  // rows of zeros
  static constexpr int64_t kLine = 32;  // more, so that 16 rows do not all fall on the same places of a cache

  static int64_t stride_of(int64_t depth) { return Parts * tiles::whole_depth(depth) + kLine; }

  bool round(const plugin::Call& call) {
    constexpr float kTiny = 0x1p-90f, kHuge = 0x1p127f;  // where a part would be lost or infinite
    const int64_t stride = stride_of(x_.width), low = tiles::whole_depth(x_.width);
    std::atomic<bool> fits = true;
    const auto round_row = [&](int64_t row) {
      using namespace simd;
      bf16* to = parts_ + row * stride;
      if (row >= x_.rows) return void(std::fill_n(to, stride, bf16{0}));
      Magnitude magnitude;
      for_lanes(x_.width, [&](int64_t k, auto n) {
        const Vec value = load(x_[row] + k, n);
        magnitude.take(value);
        store(to + k, value, n);
        if constexpr (Parts == 2) store(to + low + k, value - load(to + k, n), n);
      });
      for (int part = 0; part < Parts; ++part)
        std::fill(to + part * low + x_.width, to + (part + 1) * low, bf16{0});
      const float largest = magnitude.largest();
      if (!(largest == 0 || (largest >= kTiny && largest <= kHuge))) fits = false;
    };
    call.parallel_for(x_.rows + kMargin, std::max<int64_t>(1, 32768 / stride),
                      [&](int64_t begin, int64_t end, uint32_t) {
                        for (int64_t row = begin; row < end; ++row) round_row(row);
                      });
    return fits;
  }

  Matrix<R> x_;
  simd::bf16* parts_;  // of each row high[depth], then low[depth] if there are two, in whole tiles
  bool in_tiles_ = false;
  std::optional<Rounded> rounded_ = std::nullopt;
};

// The rows that a weight W takes in a model in T.
template <class T, class W>
using RowsFor = ManyRows<simd::Real<T>, W::template kParts<T>, W::kWhole>;

// For one thread of many_rows_times, in reals: a block's columns, in whatever form, and their products.
inline size_t many_rows_scratch(int64_t depth) {
  const int64_t padded_depth = whole::groups_of(depth) * whole::kGroup;
  return size_t(padded_columns(kBlockColumns) * padded_depth + kBlockRows * kBlockColumns);
}

#if defined(GRAFT_TILES)
// Columns of a weight as right factors of tiles: those of 16 columns one after the other, all high parts
// before all low ones.
template <int Parts>
class TileColumns {
 public:
  template <class W>
  TileColumns(const W& weight, int64_t first, int64_t count, simd::bf16* memory)
      : tiles_(memory),
        steps_(tiles::whole_depth(weight.depth()) / tiles::kDepth),
        low_(padded_columns(count) * steps_ * tiles::kDepth) {
    weight.template unpack_tiles<Parts>(first, count, memory, memory + low_);
  }

  // products[rows][kBlockColumns] = x[row … row + rows] @ these columns, in whole tiles of both.
  template <class Rows>
  void multiply(const Rows& x, int64_t row, int64_t rows, int64_t columns, float* products) const {
    constexpr int64_t kSteps = 20 / Parts;  // 40 KiB of a pair of tiles' columns, which stay in L1
    const int64_t blocks = std::max<int64_t>(1, (steps_ + kSteps - 1) / kSteps);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = steps_ * block / blocks, end = steps_ * (block + 1) / blocks;
      tiles::multiply<Parts>(end - begin, x.left(row, begin),
                             {tiles_ + begin * tiles::kTile, steps_ * tiles::kTile, low_}, rows, columns,
                             products, kBlockColumns, begin > 0);
    }
  }

 private:
  simd::bf16* tiles_;
  int64_t steps_, low_;
};
#endif

// write(row, column, count, products…) for all rows of x, with the products of each weight; they are all of
// one size. `scratch`: for each thread many_rows_scratch(depth) reals a weight, or more.
template <class R, int Parts, bool Whole, class W, size_t N, class Write>
void many_rows_times(const plugin::Call& call, const ManyRows<R, Parts, Whole>& x,
                     const std::array<const W*, N>& weights, R* scratch, const Write& write) {
  const size_t scratch_each = many_rows_scratch(weights[0]->depth());
  for_blocks(call, x.x().rows, weights[0]->columns(), [&](const Block& block) {
    const auto memory = [&](size_t i) { return scratch + (block.worker * N + i) * scratch_each; };
    const auto products = [&](size_t i) { return memory(i + 1) - kBlockRows * kBlockColumns; };
    const auto each = [&](const auto& body) {
      return [&]<size_t... I>(std::index_sequence<I...>) {
        return body(I...);
      }
      (std::make_index_sequence<N>());
    };
    // multiply(i, row, rows): products(i) of some rows, `stride` apart.
    const auto by_rows = [&](int64_t stride, const auto& multiply) {
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        for (size_t i = 0; i < N; ++i) multiply(i, row, rows);
        for (int64_t r = 0; r < rows; ++r)
          each(
              [&](auto... i) { write(row + r, block.column, block.columns, (products(i) + r * stride)...); });
      });
    };
#if defined(GRAFT_TILES)
    if constexpr (Parts > 0) {
      if (x.in_tiles()) {
        const auto columns = each([&](auto... i) {
          return std::array{TileColumns<Parts>(*weights[i], block.column, block.columns,
                                               reinterpret_cast<simd::bf16*>(memory(i)))...};
        });
        const tiles::InUse in_use;
        return by_rows(kBlockColumns, [&](size_t i, int64_t row, int64_t rows) {
          columns[i].multiply(x, row, rows, block.columns, products(i));
        });
      }
    }
#endif
#if defined(GRAFT_WHOLE_PRODUCTS)
    if constexpr (Whole) {
      if (x.rounded() != nullptr) {
        const auto columns = each([&](auto... i) {
          return std::array{WholeColumns(*weights[i], block.column, block.columns,
                                         reinterpret_cast<int16_t*>(memory(i)))...};
        });
        return by_rows(kBlockColumns, [&](size_t i, int64_t row, int64_t rows) {
          columns[i].multiply(*x.rounded(), row, rows, products(i), kBlockColumns);
        });
      }
    }
#endif
    if constexpr (W::kStreamedRows > 0) {
      if (x.x().rows <= W::kStreamedRows) {
        return by_rows(kBlockColumns, [&](size_t i, int64_t row, int64_t rows) {
          weights[i]->stream({x.x()[row], rows, x.x().width, x.x().stride}, block.column,
                             block.column + block.columns, products(i), kBlockColumns);
        });
      }
    }
    const auto columns = each(
        [&](auto... i) { return std::array{weights[i]->unpack(block.column, block.columns, memory(i))...}; });
    const int64_t width = columns[0].width();
    by_rows(width, [&](size_t i, int64_t row, int64_t rows) {
      columns[i].multiply(x.x(), row, rows, products(i), width);
    });
  });
}
template <class R, int Parts, bool Whole, class W, class Write>
void many_rows_times(const plugin::Call& call, const ManyRows<R, Parts, Whole>& x, const W& weight,
                     R* scratch, const Write& write) {
  many_rows_times(call, x, std::array{&weight}, scratch, write);
}

}  // namespace graft
