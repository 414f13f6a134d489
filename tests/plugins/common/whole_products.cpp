// In the library of what is compiled for AVX-512: see tile_products.cpp.
#include "whole_products.h"

#include <algorithm>
#include <vector>

#include "../../../plugins/common/int8_weight.h"
#include "../../../plugins/common/many_rows.h"

namespace graft::test {

__attribute__((visibility("default"))) bool has_vnni() {
  return whole::available();
}

__attribute__((visibility("default"))) bool multiply_whole(int64_t rows, int64_t columns, int64_t depth,
                                                           const float* x, const float* weight, float* out) {
  const Int8Weight packed(weight, columns, depth);
  std::vector<WholeColumns::Rows::Group> groups(WholeColumns::Rows::needed(rows, depth));
  const WholeColumns::Rows rounded({x, rows, depth, depth}, groups.data());
  if (!rounded.are_rounded()) return false;
  std::vector<float> memory(many_rows_scratch(depth)), products(size_t(rows * kBlockColumns));
  for (int64_t column = 0; column < columns; column += kBlockColumns) {
    const int64_t count = std::min(kBlockColumns, columns - column);
    WholeColumns(packed, column, count, reinterpret_cast<int16_t*>(memory.data()))
        .multiply(rounded, 0, rows, products.data(), kBlockColumns);
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(products.data() + row * kBlockColumns, count, out + row * columns + column);
  }
  return true;
}

}  // namespace graft::test
