// Products of bfloat16 with sums in float by what the processor has for them: AMX, else AVX512_BF16. Both
// take denormal numbers for zeros and round sums to nearest even.
#pragma once

#include <optional>

#include "amx.h"
#include "avx512_bf16.h"
#include "tile_layout.h"

namespace graft::tiles {

#if defined(GRAFT_TILES)

// Whether there is anything that multiplies factors of so many parts faster than floats: three products of
// two parts each are that on AMX alone.
template <int Parts = 1>
inline bool available() {
  return amx::available() || (Parts == 1 && avx512_bf16::available());
}

// While one lives, its thread may multiply.
class InUse {
 public:
  InUse() {
    if (amx::available()) amx_.emplace();
  }

 private:
  std::optional<amx::Tiles> amx_;
};

// c[rows][columns] (+)= left[rows][32 steps] @ right, in whole pairs of tiles. Of factors in two parts all
// products but that of the low ones.
template <int Parts = 1>
inline void multiply(int64_t steps, Factor left, Factor right, int64_t rows, int64_t columns, float* c,
                     int64_t c_stride, bool add) {
  if constexpr (Parts == 1) {
    if (!amx::available()) return avx512_bf16::multiply(steps, left, right, rows, columns, c, c_stride, add);
  }
  amx::multiply<Parts>(steps, left, right, rows, columns, c, c_stride, add);
}

#else

template <int Parts = 1>
inline bool available() {
  return false;
}

#endif

}  // namespace graft::tiles
