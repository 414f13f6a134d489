// Tiles of bfloat16, as common/amx.h and common/avx512_bf16.h multiply them: 16 rows of 64 bytes, of the left
// factor 16 x 32, of the right one 32 x 16 with pairs of rows interleaved; the product's are 16 x 16 floats.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
#pragma once

#include <algorithm>

#include "rows.h"
#include "simd.h"

#if defined(GRAFT_AVX512) && defined(__AMX_BF16__) && defined(__linux__)
#define GRAFT_TILES 1
#endif

namespace graft::tiles {

inline constexpr int64_t kDepth = 32, kTile = 16 * kDepth;  // bf16 in a row of a tile, in a tile
inline int64_t whole_depth(int64_t depth) {
  return (depth + kDepth - 1) / kDepth * kDepth;
}

// What rows of a left factor and of a product are filled up to: two tiles.
inline int64_t whole_rows(int64_t rows) {
  return (rows + 31) / 32 * 32;
}

// Rows of a left factor, or the tiles of a right one's 16 columns, `stride` elements from one to the next; or
// of a factor that is the sum of two, high ones, to each of which there is one `low` elements further on.
struct Factor {
  const simd::bf16* data;
  int64_t stride, low = 0;
};

#if defined(GRAFT_TILES)

// 16 rows of 32 bf16 each, as 16 x 16 pairs.
using Pairs = simd::Vec[16];

// 32 bf16 from p, of which the first `count` are there.
inline simd::Vec pairs_along(const simd::bf16* p, int64_t count) {
  const __mmask32 there = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << std::max<int64_t>(0, count)) - 1;
  return {_mm512_castsi512_ps(_mm512_maskz_loadu_epi16(there, p))};
}
// Element i is {first[i], second[i]}, of which the first `count` are there; a null second is zeros.
inline simd::Vec pairs_across(const simd::bf16* first, const simd::bf16* second, int64_t count) {
  const __mmask16 there = count >= 16 ? __mmask16(~0u) : __mmask16((1u << count) - 1);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, first));
  if (second == nullptr) return {_mm512_castsi512_ps(low)};
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, second));
  return {_mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)))};
}

// from[line][along … along + 32] for 16 lines, of which `lines` and `count` are there.
inline void load_along(const Rows<const simd::bf16>& from, int64_t line, int64_t lines, int64_t along,
                       int64_t count, Pairs& pairs) {
  for (int i = 0; i < 16; ++i)
    pairs[i] = i < lines ? pairs_along(from[line + i] + along, count) : simd::zero();
}
// from[along + 2 i and 2 i + 1][line … line + 16] for i < 16: what load_along gives of the transposed,
// transposed.
inline void load_across(const Rows<const simd::bf16>& from, int64_t line, int64_t lines, int64_t along,
                        int64_t count, Pairs& pairs) {
  for (int i = 0; i < 16; ++i) {
    const int64_t k = 2 * i;
    pairs[i] = k < count ? pairs_across(from[along + k] + line,
                                        k + 1 < count ? from[along + k + 1] + line : nullptr, lines)
                         : simd::zero();
  }
}
inline void store(simd::Vec pairs, simd::bf16* to) {
  simd::store(reinterpret_cast<float*>(to), pairs);
}
inline void store(const Pairs& pairs, simd::bf16* to, int64_t stride) {
  for (int i = 0; i < 16; ++i) store(pairs[i], to + i * stride);
}

// The left factor, rows [row, row + rows) and depth [k, k + depth), as to[r * stride + k], rows and depth
// filled up with zeros to whole tiles. `across`: it lies transposed.
inline void pack_left(const Rows<const simd::bf16>& from, bool across, int64_t row, int64_t rows, int64_t k,
                      int64_t depth, simd::bf16* to, int64_t stride) {
  for (int64_t r = 0; r < rows; r += 16) {
    for (int64_t at = 0; at < depth; at += kDepth) {
      Pairs pairs;
      if (across) {
        load_across(from, row + r, rows - r, k + at, depth - at, pairs);
        simd::transpose(pairs);
      } else {
        load_along(from, row + r, rows - r, k + at, depth - at, pairs);
      }
      store(pairs, to + r * stride + at, stride);
    }
  }
}

// The right factor, depth [k, k + depth) and columns [column, column + columns), as tiles, those of 16
// columns one after the other, `steps` of them; columns are filled up with zeros to whole pairs of tiles.
// `across`: it does not lie transposed.
inline void pack_right(const Rows<const simd::bf16>& from, bool across, int64_t k, int64_t depth,
                       int64_t column, int64_t columns, simd::bf16* to, int64_t steps) {
  for (int64_t c = 0; c < columns; c += 16) {
    for (int64_t at = 0; at < depth; at += kDepth) {
      Pairs pairs;
      if (across) {
        load_across(from, column + c, columns - c, k + at, depth - at, pairs);
      } else {
        load_along(from, column + c, columns - c, k + at, depth - at, pairs);
        simd::transpose(pairs);
      }
      store(pairs, to + (c / 16 * steps + at / kDepth) * kTile, kDepth);
    }
  }
  const int64_t packed = (columns + 15) / 16;
  if (packed % 2 == 1) std::fill_n(to + packed * steps * kTile, steps * kTile, simd::bf16{0});
}

// x as bf16, to nearest, as float; finite, and halves away from zero.
inline simd::Vec rounded(simd::Vec x) {
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x8000));
  return {_mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(int(0xffff0000))))};
}
// Element i is {first[i], second[i]}, rounded so.
inline simd::Vec rounded_pairs(simd::Vec first, simd::Vec second) {
  const __m512i low = _mm512_add_epi32(_mm512_castps_si512(first.v), _mm512_set1_epi32(0x8000)),
                high = _mm512_add_epi32(_mm512_castps_si512(second.v), _mm512_set1_epi32(0x8000));
  return {_mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high))};
}

#endif

}  // namespace graft::tiles
