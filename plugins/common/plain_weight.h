// A weight as it lies in memory, for products of few rows (common/products.h) and of many
// (common/many_rows.h).
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "gemm.h"
#include "products.h"
#include "rows.h"
#include "tile_layout.h"

namespace graft {

// A weight [columns][depth] of out = x @ weight^T, in units of some columns that one register tile takes.
template <class T>
class PlainWeight {
  using R = simd::Real<T>;

 public:
  static constexpr int64_t kUnit = 4;
  using Rows = Matrix<R>;  // a few of x, as times() takes them
  using RowMemory = R;

  explicit PlainWeight(const plugin::Tensor& weight) : PlainWeight(graft::Rows<const T>(weight)) {}
  // Its rows one after another, as the contracts want weights.
  explicit PlainWeight(const graft::Rows<const T>& weight)
      : data_(weight[0]), columns_(weight.count()), depth_(weight.width()) {}

  int64_t columns() const { return columns_; }
  int64_t units() const { return (columns_ + kUnit - 1) / kUnit; }

  static size_t row_memory(int64_t, int64_t) { return 0; }
  static Rows rows(const Matrix<R>& x, RowMemory*) { return x; }

  // For many rows.
  const PlainWeight& many_rows() const { return *this; }
  template <class>
  static constexpr int kParts = std::is_same_v<T, simd::bf16> ? 1 : 0;
  static constexpr bool kWhole = false;
  static constexpr int64_t kStreamedRows = simd::kLanes == 16 && !std::is_same_v<T, double> ? 48 : 0;
  int64_t depth() const { return depth_; }
  PackedColumns<R> unpack(int64_t first, int64_t count, R* memory) const {
    return {memory, data_ + first * depth_, depth_, count, depth_};
  }
#if defined(GRAFT_TILES)
  template <int Parts>
  void unpack_tiles(int64_t first, int64_t count, simd::bf16* high, simd::bf16*) const {
    static_assert(Parts == 1);
    tiles::pack_right(graft::Rows<const T>(data_, columns_, depth_, depth_), /*across=*/false, 0, depth_,
                      first, count, high, tiles::whole_depth(depth_) / tiles::kDepth);
  }
#endif

  // Fetches line i of each of the streams in which times() reads these units.
  void fetch(int64_t begin, int64_t end, int64_t i) const {
    const int64_t first = begin * kUnit, quarter = (std::min(columns_, end * kUnit) - first) / 4;
    fetch_line(data_ + first * depth_, quarter * depth_, 4, i);
  }

  // to[row * stride + column] for the columns of units [begin, end) and all rows of x.
  void times(const Rows& x, int64_t begin, int64_t end, R* to, int64_t stride) const {
    const int64_t first = begin * kUnit;
    stream(x, first, std::min(columns_, end * kUnit), to + first, stride);
  }
  // to[row * stride + column - begin] for columns [begin, end).
  void stream(const Rows& x, int64_t begin, int64_t end, R* to, int64_t stride) const {
    few_rows_times(x, data_, depth_, begin, end,
                   [&](int64_t row, int64_t column, R value) { to[row * stride + column - begin] = value; });
  }

 private:
  const T* data_;
  int64_t columns_, depth_;
};

}  // namespace graft
