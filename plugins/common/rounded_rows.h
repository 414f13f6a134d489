// Rows of x rounded to whole numbers of 16 bits of the largest in a group (common/whole_products.h), which is
// less than what bfloat16 rounds. Rows that are infinite, no numbers or tiny are not: they are multiplied as
// float, so an infinity or a NaN spreads as in float.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <graft/plugin.hpp>

#include "products.h"
#include "simd.h"
#include "whole_products.h"

namespace graft {

// Numbers: of a group, whole::Numbers or whole::PairNumbers.
template <class Numbers>
class RoundedRows {
 public:
  // Of a row: numbers times scale, and what they sum up to as whole::result() wants it.
  struct Group {
    Numbers numbers;
    float scale;
    int32_t total;
  };

  // For needed(rows, depth) groups of memory.
  RoundedRows(const Matrix<float>& x, Group* memory) : x_(x), groups_(memory) {
    if (!whole::available()) return;
    rounded_ = true;
    for (int64_t row = 0; row < x.rows && rounded_; ++row) rounded_ = round(row);
  }
  // By the host's threads.
  RoundedRows(const plugin::Call& call, const Matrix<float>& x, Group* memory) : x_(x), groups_(memory) {
    if (!whole::available()) return;
    std::atomic<bool> rounded = true;
    call.parallel_for(x.rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, x.width)),
                      [&](int64_t begin, int64_t end, uint32_t) {
                        for (int64_t row = begin; row < end; ++row)
                          if (!round(row)) rounded = false;
                      });
    rounded_ = rounded;
  }
  static size_t needed(int64_t rows, int64_t depth) { return size_t(rows * whole::groups_of(depth)); }

  const Matrix<float>& x() const { return x_; }
  bool are_rounded() const { return rounded_; }
  const Group* groups(int64_t row) const { return groups_ + row * whole::groups_of(x_.width); }

 private:
  // Whether that could be done.
  bool round(int64_t row) const {
    Group* to = groups_ + row * whole::groups_of(x_.width);
    int64_t k = 0;
    for (; k + whole::kGroup <= x_.width; k += whole::kGroup)
      if (!round(x_[row] + k, std::integral_constant<int64_t, whole::kGroup>{}, *to++)) return false;
    return k == x_.width || round(x_[row] + k, x_.width - k, *to);
  }

  // `count` numbers, a constant if they are a whole group.
  template <class Count>
  static bool round([[maybe_unused]] const float* from, [[maybe_unused]] Count count,
                    [[maybe_unused]] Group& to) {
#if defined(GRAFT_WHOLE_PRODUCTS)
    using namespace simd;
    constexpr float kTiny = 0x1p-90f;  // below, what is left of a scale's precision might be too little
    const float most = simd::largest_magnitude(from, count);
    if (std::isnan(most) || (most > 0 && most < kTiny)) return false;
    const Vec factor = broadcast(most > 0 ? whole::kMost / most : 0);
    to.total = 0;
    if (count < whole::kGroup) to.numbers = {};
    for_lanes(count,
              [&](int64_t i, auto n) { to.total += whole::round(load(from + i, n), factor, to.numbers, i); });
    to.scale = most / whole::kMost;
    return true;
#else
    return false;
#endif
  }

  Matrix<float> x_;
  Group* groups_;
  bool rounded_ = false;
};

// A few rows, as few_rows_times takes them.
using Int8Rows = RoundedRows<whole::Numbers>;

}  // namespace graft
