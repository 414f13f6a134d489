// Products of many rows of x with an Int8Weight, which wait for arithmetic: blocks of the weight are unpacked
// to float and multiplied as common/gemm.h does. Where the processor has AMX they are unpacked to bfloat16,
// and x is rounded to it: both as a sum of two, high and low, without the product of the low ones, which
// rounds as 16 bits do. A model in bfloat16 takes the high ones alone. Rows that are infinite, no numbers or
// tiny are multiplied as float: so an infinity or a NaN spreads as in float. Source: Henry, Tang and Heinecke
// 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations",
// arXiv:1904.06376.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <graft/plugin.hpp>

#include "amx.h"
#include "blocks.h"
#include "gemm.h"
#include "int8_weight.h"
#include "products.h"

namespace graft {

// Many rows as many_rows_times takes them, in a model of T, float or bf16.
template <class T>
class ManyRows {
 public:
  static constexpr int kParts = std::is_same_v<T, simd::bf16> ? 1 : 2;

  // For needed(rows, depth) of memory.
  ManyRows(const plugin::Call& call, const Matrix<float>& x, simd::bf16* memory) : x_(x), parts_(memory) {
    if (has_tiles()) in_tiles_ = round(call);
  }
  static size_t needed(int64_t rows, int64_t depth) {
    return has_tiles() ? size_t((rows + kMargin) * stride_of(depth)) : 0;
  }

  const Matrix<float>& x() const { return x_; }
  // Whether there are parts, in which 32 rows can be read from any on.
  bool in_tiles() const { return in_tiles_; }
  amx::Factor left(int64_t row, int64_t step) const {
    const int64_t stride = stride_of(x_.width);
    return {parts_ + row * stride + step * amx::kDepth, stride, amx::whole_depth(x_.width)};
  }

 private:
  static constexpr int64_t kMargin = 31;  // rows of zeros
  static constexpr int64_t kLine = 32;

  static bool has_tiles() { return whole::available() && amx::available(); }
  // A line more, so that rows of 16 in a tile do not all fall on the same places of a cache.
  static int64_t stride_of(int64_t depth) { return kParts * amx::whole_depth(depth) + kLine; }

  bool round(const plugin::Call& call) {
    constexpr float kTiny = 0x1p-90f, kHuge = 0x1p127f;  // where a part would be lost or infinite
    const int64_t stride = stride_of(x_.width), low = amx::whole_depth(x_.width);
    std::atomic<bool> fits = true;
    call.parallel_for(x_.rows + kMargin, std::max<int64_t>(1, 32768 / stride),
                      [&](int64_t begin, int64_t end, uint32_t) {
                        for (int64_t row = begin; row < end; ++row) {
                          simd::bf16* to = parts_ + row * stride;
                          std::fill_n(to, stride, simd::bf16{0});
                          if (row >= x_.rows) continue;
                          const float most = largest_magnitude(x_[row], x_.width);
                          if (!(most == 0 || (most >= kTiny && most <= kHuge))) fits = false;
                          simd::for_lanes(x_.width, [&](int64_t k, auto n) {
                            const simd::Vec value = simd::load(x_[row] + k, n);
                            simd::store(to + k, value, n);
                            if constexpr (kParts == 2)
                              simd::store(to + low + k, value - simd::load(to + k, n), n);
                          });
                        }
                      });
    return fits;
  }

  Matrix<float> x_;
  simd::bf16* parts_;  // of each row high[depth], then low[depth] if there are two, in whole tiles
  bool in_tiles_ = false;
};

// For one thread of many_rows_times: a block's columns and their products.
inline size_t many_rows_scratch(int64_t depth) {
  return PackedColumns<float>::size(kBlockColumns, amx::whole_depth(depth)) +
         size_t(kBlockRows * kBlockColumns);
}

#if defined(GRAFT_AMX)
// Columns of a weight as right factors of tiles: those of 16 columns one after the other, all high parts
// before all low ones.
template <int Parts>
class TileColumns {
 public:
  TileColumns(const Int8Weight& weight, int64_t first, int64_t count, simd::bf16* memory)
      : tiles_(memory),
        steps_(amx::whole_depth(weight.depth()) / amx::kDepth),
        low_(padded_columns(count) * steps_ * amx::kDepth) {
    for (int64_t column = 0; column < count; column += kTileColumns)
      unpack(weight, (first + column) / kTileColumns, memory + column * steps_ * amx::kDepth);
  }

  // products[rows][kBlockColumns] = x[row … row + rows] @ these columns, in whole tiles of both.
  template <class T>
  void multiply(const ManyRows<T>& x, int64_t row, int64_t rows, int64_t columns, float* products) const {
    constexpr int64_t kSteps = 20 / Parts;  // 40 KiB of a pair of tiles' columns, which stay in L1
    const int64_t blocks = std::max<int64_t>(1, (steps_ + kSteps - 1) / kSteps);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = steps_ * block / blocks, end = steps_ * (block + 1) / blocks;
      for (int64_t column = 0; column < columns; column += 32) {
        const amx::Factor right{tiles_ + (column / 16 * steps_ + begin) * kTile, steps_ * kTile, low_};
        for (int64_t r = 0; r < rows; r += 32)
          amx::multiply_tiles<Parts>(end - begin, x.left(row + r, begin), right,
                                     products + r * kBlockColumns + column, kBlockColumns, begin > 0);
      }
    }
  }

 private:
  static constexpr int64_t kTile = 16 * amx::kDepth;

  void unpack(const Int8Weight& weight, int64_t tile, simd::bf16* to) const {
    using namespace simd;
    const int8_t* group = weight.tile(tile);
    bf16* pairs = to;  // of the first 16 columns
    for (int64_t k = 0; k < weight.depth(); k += Int8Weight::kGroup) {
      const int64_t count = weight.group_depth(k);
      const Vec scales[2] = {load(Int8Weight::scales(group)), load(Int8Weight::scales(group) + kLanes)};
      const int8_t* from = Int8Weight::values(group);
      for (int64_t i = 0; i < count; i += whole::kTogether, pairs += 2 * 32)
        for (int half = 0; half < 2; ++half, from += whole::kTogether * kLanes) {
          const whole::Weights q = whole::load(from);
          for (int pair = 0; pair < 2; ++pair)
            store(whole::widened(q, 2 * pair) * scales[half], whole::widened(q, 2 * pair + 1) * scales[half],
                  pairs + half * steps_ * kTile + pair * 32);
        }
      group += Int8Weight::group_bytes(count);
    }
    for (; pairs < to + steps_ * kTile; pairs += 32)
      for (int half = 0; half < 2; ++half) store(zero(), zero(), pairs + half * steps_ * kTile);
  }
  void store(simd::Vec first, simd::Vec second, simd::bf16* to) const {
    simd::store(reinterpret_cast<float*>(to), amx::rounded_pairs(first, second));
    if constexpr (Parts == 2)
      simd::store(reinterpret_cast<float*>(to + low_),
                  amx::rounded_pairs(first - amx::rounded(first), second - amx::rounded(second)));
  }

  simd::bf16* tiles_;
  int64_t steps_, low_;
};
#endif

// write(row, column, count, products) for all rows of x. `scratch`: many_rows_scratch(depth or more) floats
// for each thread.
template <class T, class Write>
void many_rows_times(const plugin::Call& call, const ManyRows<T>& x, const Int8Weight& weight, float* scratch,
                     const Write& write) {
  const size_t scratch_each = many_rows_scratch(weight.depth());
  for_blocks(call, x.x().rows, weight.columns(), [&](const Block& block) {
    float* memory = scratch + block.worker * scratch_each;
    float* products = memory + scratch_each - kBlockRows * kBlockColumns;
    const auto blocks = [&](int64_t stride, const auto& multiply) {
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        multiply(row, rows);
        for (int64_t r = 0; r < rows; ++r) write(row + r, block.column, block.columns, products + r * stride);
      });
    };
#if defined(GRAFT_AMX)
    if (x.in_tiles()) {
      const TileColumns<ManyRows<T>::kParts> columns(weight, block.column, block.columns,
                                                     reinterpret_cast<simd::bf16*>(memory));
      const amx::Tiles tiles;
      return blocks(kBlockColumns, [&](int64_t row, int64_t rows) {
        columns.multiply(x, row, rows, block.columns, products);
      });
    }
#endif
    const PackedColumns<float> packed = weight.unpack(block.column, block.columns, memory);
    blocks(packed.width(),
           [&](int64_t row, int64_t rows) { packed.multiply(x.x(), row, rows, products, packed.width()); });
  });
}

}  // namespace graft
