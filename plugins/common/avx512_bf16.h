// Products of tiles by AVX-512's VDPBF16PS, twice as many at once as of floats: for processors with it and
// without AMX. Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VDPBF16PS.
#pragma once

#include "tile_layout.h"

#if defined(GRAFT_TILES)
#include <cpuid.h>
#include <immintrin.h>

#include <cstring>

namespace graft::avx512_bf16 {

static inline bool available() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5 & 1) != 0;
  }();
  return has;
}

// Rows and tiles of columns whose sums are in registers: 8 x 2 vectors take 10 loads for 16 instructions.
inline constexpr int64_t kRows = 8;

// c[kRows][32] (+)= left[kRows][32 steps] @ right, whose tiles of a column of them lie one after the other.
// Not inlined: within a larger function GCC keeps the sums in memory.
[[gnu::noinline]] inline void multiply_rows(int64_t steps, tiles::Factor left, tiles::Factor right, float* c,
                                            int64_t c_stride, bool add) {
  constexpr int kColumns = 2;
  __m512 sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
    for (int column = 0; column < kColumns; ++column)
      sums[row][column] = add ? _mm512_loadu_ps(c + row * c_stride + column * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < steps * tiles::kDepth; k += 2) {  // a pair of each row, 16 pairs of each tile
    const __m512i pairs[kColumns] = {_mm512_loadu_si512(right.data + k * 16),
                                     _mm512_loadu_si512(right.data + right.stride + k * 16)};
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      int32_t pair;
      std::memcpy(&pair, left.data + row * left.stride + k, sizeof pair);
      const __m512i all = _mm512_set1_epi32(pair);
      // The compiler is not asked for AVX512_BF16, or it could use it where nobody has looked for it.
#pragma GCC unroll 2
      for (int column = 0; column < kColumns; ++column)
        asm("vdpbf16ps %2, %1, %0" : "+v"(sums[row][column]) : "v"(pairs[column]), "v"(all));
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
    for (int column = 0; column < kColumns; ++column)
      _mm512_storeu_ps(c + row * c_stride + column * 16, sums[row][column]);
}

// The same for c[rows][columns], in whole kRows and pairs of tiles.
inline void multiply(int64_t steps, tiles::Factor left, tiles::Factor right, int64_t rows, int64_t columns,
                     float* c, int64_t c_stride, bool add) {
  for (int64_t column = 0; column < columns; column += 32)
    for (int64_t row = 0; row < rows; row += kRows)
      multiply_rows(steps, {left.data + row * left.stride, left.stride},
                    {right.data + column / 16 * right.stride, right.stride}, c + row * c_stride + column,
                    c_stride, add);
}

}  // namespace graft::avx512_bf16

#endif
