// The weights of a decoder layer as its products read them: as they lie in memory, or in 8 bits. Of few rows
// columns stream from memory by units, times(); what many rows need many_rows() gives, see
// common/many_rows.h.
#pragma once

#include <graft/plugin.hpp>

#include "../common/int8_few_rows.h"
#include "../common/plain_weight.h"

namespace graft {

// A weight in 8 bits, with what PlainWeight has.
class PackedWeight {
 public:
  static constexpr int64_t kUnit = kTileColumns;
  using Rows = Int8Rows;
  using RowMemory = Int8Rows::Group;

  explicit PackedWeight(const Int8Weight* weight) : weight_(weight) {}

  int64_t columns() const { return weight_->columns(); }
  int64_t units() const { return weight_->tiles(); }

  // For many rows.
  const Int8Weight& many_rows() const { return *weight_; }
  template <class T>
  static constexpr int kParts = Int8Weight::kParts<T>;
  static constexpr bool kWhole = Int8Weight::kWhole;

  static size_t row_memory(int64_t rows, int64_t depth) { return Int8Rows::needed(rows, depth); }
  static Rows rows(const Matrix<float>& x, RowMemory* memory) { return Rows(x, memory); }

  void fetch(int64_t begin, int64_t end, int64_t i) const { fetch_tiles(*weight_, begin, end, i); }
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
