// A library of its own: compiled for AVX-512, of which nothing may come into a program that runs anywhere.
#include "tile_products.h"

#include <algorithm>
#include <vector>

#include "../../../plugins/common/tiles.h"

namespace graft::test {

__attribute__((visibility("default"))) bool available(Unit unit) {
  return unit == Unit::amx ? amx::available() : avx512_bf16::available();
}

__attribute__((visibility("default"))) void multiply(Unit unit, int64_t rows, int64_t columns, int64_t depth,
                                                     const uint16_t* left, const uint16_t* right, float* c,
                                                     bool add) {
  using simd::bf16;
  const int64_t steps = tiles::whole_depth(depth) / tiles::kDepth, whole_rows = tiles::whole_rows(rows),
                whole_columns = tiles::whole_rows(columns);
  const auto rows_of = [&](const uint16_t* bits, int64_t count) {
    return Rows<const bf16>(reinterpret_cast<const bf16*>(bits), count, depth, depth);
  };
  std::vector<bf16> lefts(size_t(whole_rows * steps * tiles::kDepth)),
      rights(size_t(whole_columns * steps * tiles::kDepth));
  tiles::pack_left(rows_of(left, rows), /*across=*/false, 0, rows, 0, depth, lefts.data(),
                   steps * tiles::kDepth);
  tiles::pack_right(rows_of(right, columns), /*across=*/false, 0, depth, 0, columns, rights.data(), steps);
  std::vector<float> products(size_t(whole_rows * whole_columns));
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(c + row * columns, columns, products.data() + row * whole_columns);
  const tiles::Factor rows_factor{lefts.data(), steps * tiles::kDepth},
      columns_factor{rights.data(), steps * tiles::kTile};
  if (unit == Unit::amx) {
    const amx::Tiles tiles;
    amx::multiply(steps, rows_factor, columns_factor, rows, columns, products.data(), whole_columns, add);
  } else {
    avx512_bf16::multiply(steps, rows_factor, columns_factor, rows, columns, products.data(), whole_columns,
                          add);
  }
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(products.data() + row * whole_columns, columns, c + row * columns);
}

}  // namespace graft::test
