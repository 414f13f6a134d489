// The weights of a decoder layer as its products read them: as they lie in memory, or in 8 bits. Of few rows
// columns stream from memory by units, times(); what many rows need many_rows() gives, see
// common/many_rows.h.
#pragma once

#include <graft/plugin.hpp>

#include "../common/gemm.h"
#include "../common/int8_few_rows.h"
#include "../common/products.h"

namespace graft {

// A weight [columns][depth] of out = x @ weight^T, in units of some columns that one register tile takes.
template <class T>
class PlainWeight {
  using R = simd::Real<T>;

 public:
  static constexpr int64_t kUnit = 4;
  using Rows = Matrix<R>;  // a few of x, as times() takes them
  using RowMemory = R;

  explicit PlainWeight(const plugin::Tensor& weight)
      : data_(weight.data<T>()), columns_(weight.size(0)), depth_(weight.size(1)) {}

  int64_t columns() const { return columns_; }
  int64_t units() const { return (columns_ + kUnit - 1) / kUnit; }
  int64_t unit_bytes() const { return kUnit * depth_ * int64_t{sizeof(T)}; }

  static size_t row_memory(int64_t, int64_t) { return 0; }
  static Rows rows(const Matrix<R>& x, RowMemory*) { return x; }

  // For many rows.
  const PlainWeight& many_rows() const { return *this; }
  template <class>
  static constexpr int kParts = std::is_same_v<T, simd::bf16> ? 1 : 0;
  int64_t depth() const { return depth_; }
  PackedColumns<R> unpack(int64_t first, int64_t count, R* memory) const {
    return {memory, data_ + first * depth_, depth_, count, depth_};
  }
#if defined(GRAFT_AMX)
  template <int Parts>
  void unpack_tiles(int64_t first, int64_t count, simd::bf16* high, simd::bf16*) const {
    static_assert(Parts == 1);
    amx::pack_right(graft::Rows<const T>(data_, columns_, depth_, depth_), /*across=*/false, 0, depth_, first,
                    count, high, amx::whole_depth(depth_) / amx::kDepth);
  }
#endif

  // to[row * stride + column] for the columns of units [begin, end) and all rows of x.
  void times(const Rows& x, int64_t begin, int64_t end, R* to, int64_t stride) const {
    few_rows_times(x, data_, depth_, begin * kUnit, std::min(columns_, end * kUnit),
                   [&](int64_t row, int64_t column, R value) { to[row * stride + column] = value; });
  }

 private:
  const T* data_;
  int64_t columns_, depth_;
};

// The same of a weight in 8 bits.
class PackedWeight {
 public:
  static constexpr int64_t kUnit = kTileColumns;
  using Rows = Int8Rows;
  using RowMemory = Int8Rows::Group;

  explicit PackedWeight(const Int8Weight* weight) : weight_(weight) {}

  int64_t columns() const { return weight_->columns(); }
  int64_t units() const { return weight_->tiles(); }
  int64_t unit_bytes() const { return kUnit * weight_->depth(); }

  // For many rows.
  const Int8Weight& many_rows() const { return *weight_; }
  template <class T>
  static constexpr int kParts = Int8Weight::kParts<T>;

  static size_t row_memory(int64_t rows, int64_t depth) { return Int8Rows::needed(rows, depth); }
  static Rows rows(const Matrix<float>& x, RowMemory* memory) { return Rows(x, memory); }

  void times(const Rows& x, int64_t begin, int64_t end, float* to, int64_t stride) const {
    few_rows_times(x, *weight_, begin, end,
                   [&](int64_t row, int64_t column, int64_t count, const float* products) {
                     std::copy_n(products, count, to + row * stride + column);
                   });
  }

 private:
  const Int8Weight* weight_;
};

// N: of the norms' weights.
template <class Weight, class N>
struct LayerWeights {
  Weight q, k, v, o, gate, up, down;
  const N *input_norm, *q_norm, *k_norm, *post_norm;  // q_norm and k_norm: null if there are none
};

}  // namespace graft
