// Vec: the processor's vector of floats: 16 lanes with AVX-512, 8 with AVX2 and FMA, else 4 lanes that the
// compiler maps onto what the target has (SSE2 on x86-64). bf16 in memory, float in registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define GRAFT_AVX512 1
#endif

namespace graft::simd {

// bfloat16: the upper half of a float.
struct bf16 {
  uint16_t bits;
};

inline float to_real(float x) {
  return x;
}
inline float to_real(bf16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

inline void from_real(float x, float* to) {
  *to = x;
}
// Rounds to nearest even; every NaN becomes the quiet 0x7fc0, as in torch.
inline void from_real(float x, bf16* to) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  *to = x != x ? bf16{0x7fc0} : bf16{uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

#if defined(GRAFT_AVX512)

inline constexpr int kLanes = 16;
struct Vec {
  using Scalar = float;
  __m512 v;
};

inline Vec zero() {
  return {_mm512_setzero_ps()};
}
inline Vec broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline Vec load(const bf16* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline Vec load(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
inline void store(float* p, Vec a) {
  _mm512_storeu_ps(p, a.v);
}
inline void store(bf16* p, Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 is_nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i whole = _mm512_mask_mov_epi32(rounded, is_nan, _mm512_set1_epi32(0x7fc0));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(whole));
}
// Rounds to nearest even what lies within -127 … 127.
inline void store(int8_t* p, Vec a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

inline Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
// a * b + c
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// If either is NaN, b: so bounds go first and a NaN in the data survives.
inline Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
// a, and 0 in the lanes where x < bound.
inline Vec zero_where_less(Vec x, Vec bound, Vec a) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, bound.v, _CMP_NLT_UQ), a.v)};
}
// a * 2^n for integers n, rounded once.
inline Vec scale(Vec a, Vec n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}

inline float sum(Vec a) {
  return _mm512_reduce_add_ps(a.v);
}
// The greatest lane, where none is NaN.
inline float max_lane(Vec a) {
  return _mm512_reduce_max_ps(a.v);
}

// The sums of four vectors at once, in the order in which sum() adds up each.
inline void sum4(Vec a, Vec b, Vec c, Vec d, float* sums) {
  sums[0] = sum(a), sums[1] = sum(b), sums[2] = sum(c), sums[3] = sum(d);
}

// rows[i][j] becomes rows[j][i]: within the lanes of 128 bits, then those lanes.
inline void transpose(Vec (&rows)[kLanes]) {
  __m512 a[16], b[16];
  for (int i = 0; i < 8; ++i) {
    a[2 * i] = _mm512_unpacklo_ps(rows[2 * i].v, rows[2 * i + 1].v);
    a[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i].v, rows[2 * i + 1].v);
  }
  // b[4 i + j]: of rows 4 i … 4 i + 3 the columns j, j + 4, j + 8 and j + 12.
  for (int i = 0; i < 4; ++i) {
    b[4 * i + 0] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
    b[4 * i + 1] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
    b[4 * i + 2] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
    b[4 * i + 3] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    const __m512 first_low = _mm512_shuffle_f32x4(b[j], b[4 + j], 0x88);        // columns j and j + 8
    const __m512 first_high = _mm512_shuffle_f32x4(b[j], b[4 + j], 0xdd);       // j + 4 and j + 12
    const __m512 second_low = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0x88);
    const __m512 second_high = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0xdd);
    rows[j].v = _mm512_shuffle_f32x4(first_low, second_low, 0x88);
    rows[j + 8].v = _mm512_shuffle_f32x4(first_low, second_low, 0xdd);
    rows[j + 4].v = _mm512_shuffle_f32x4(first_high, second_high, 0x88);
    rows[j + 12].v = _mm512_shuffle_f32x4(first_high, second_high, 0xdd);
  }
}

#elif defined(__AVX2__) && defined(__FMA__)

inline constexpr int kLanes = 8;
struct Vec {
  using Scalar = float;
  __m256 v;
};

inline Vec zero() {
  return {_mm256_setzero_ps()};
}
inline Vec broadcast(float x) {
  return {_mm256_set1_ps(x)};
}
inline Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline Vec load(const bf16* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}
inline Vec load(const int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
}
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.v);
}
inline void store(bf16* p, Vec a) {
  const __m256i bits = _mm256_castps_si256(a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
  const __m256i whole = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(whole, whole), 0b1000);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
// Rounds to nearest even what lies within -127 … 127.
inline void store(int8_t* p, Vec a) {
  const __m256i whole = _mm256_cvtps_epi32(a.v);
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(half, half));
}

inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
// a * b + c
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
// If either is NaN, b: so bounds go first and a NaN in the data survives.
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
// a, and 0 in the lanes where x < bound.
inline Vec zero_where_less(Vec x, Vec bound, Vec a) {
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.v, bound.v, _CMP_LT_OQ), a.v)};
}
// 2^n, where n is the integer in the low bits of `a`'s representation.
inline Vec exponent_from_low_bits(Vec a) {
  const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(a.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(127 << 23)))};
}

inline float sum(Vec a) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}
// The greatest lane, where none is NaN.
inline float max_lane(Vec a) {
  const __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 quarter = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}

// The sums of four vectors at once, in the order in which sum() adds up each.
inline void sum4(Vec a, Vec b, Vec c, Vec d, float* sums) {
  const auto half = [](Vec x) {
    return _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  };
  __m128 r0 = half(a), r1 = half(b), r2 = half(c), r3 = half(d);
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  _mm_storeu_ps(sums, _mm_add_ps(_mm_add_ps(r0, r2), _mm_add_ps(r1, r3)));
}

// rows[i][j] becomes rows[j][i].
inline void transpose(Vec (&rows)[kLanes]) {
  __m256 a[8], b[8];
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm256_unpacklo_ps(rows[2 * i].v, rows[2 * i + 1].v);
    a[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i].v, rows[2 * i + 1].v);
  }
  for (int i = 0; i < 2; ++i) {
    b[4 * i + 0] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
    b[4 * i + 1] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
    b[4 * i + 2] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
    b[4 * i + 3] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i].v = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    rows[i + 4].v = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
}

#else

inline constexpr int kLanes = 4;
struct Vec {
  using Scalar = float;
  typedef float Floats __attribute__((vector_size(16)));
  typedef int32_t Ints __attribute__((vector_size(16)));
  Floats v;
};

inline Vec broadcast(float x) {
  return {Vec::Floats{x, x, x, x}};
}
inline Vec zero() {
  return broadcast(0);
}
inline Vec load(const float* p) {
  Vec a;
  std::memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline Vec load(const bf16* p) {
  return {Vec::Floats{to_real(p[0]), to_real(p[1]), to_real(p[2]), to_real(p[3])}};
}
inline Vec load(const int8_t* p) {
  return {Vec::Floats{float(p[0]), float(p[1]), float(p[2]), float(p[3])}};
}
inline void store(float* p, Vec a) {
  std::memcpy(p, &a.v, sizeof a.v);
}
inline void store(bf16* p, Vec a) {
  for (int i = 0; i < kLanes; ++i) from_real(a.v[i], &p[i]);
}
// Rounds to nearest even what lies within -127 … 127: adding 1.5 * 2^23 leaves an integer in the low bits.
inline void store(int8_t* p, Vec a) {
  const Vec::Ints whole = Vec::Ints(a.v + 12582912.0f);
  for (int i = 0; i < kLanes; ++i) p[i] = int8_t(whole[i]);
}

inline Vec operator+(Vec a, Vec b) {
  return {a.v + b.v};
}
inline Vec operator-(Vec a, Vec b) {
  return {a.v - b.v};
}
inline Vec operator*(Vec a, Vec b) {
  return {a.v * b.v};
}
inline Vec operator/(Vec a, Vec b) {
  return {a.v / b.v};
}
// a * b + c
inline Vec fma(Vec a, Vec b, Vec c) {
  return {a.v * b.v + c.v};
}
// If either is NaN, b: so bounds go first and a NaN in the data survives.
inline Vec min(Vec a, Vec b) {
  return {a.v < b.v ? a.v : b.v};
}
inline Vec max(Vec a, Vec b) {
  return {a.v > b.v ? a.v : b.v};
}
// a, and 0 in the lanes where x < bound.
inline Vec zero_where_less(Vec x, Vec bound, Vec a) {
  return {Vec::Floats(Vec::Ints(a.v) & ~Vec::Ints(x.v < bound.v))};
}
// 2^n, where n is the integer in the low bits of `a`'s representation.
inline Vec exponent_from_low_bits(Vec a) {
  const Vec::Ints n = (Vec::Ints(a.v) << 23) + (127 << 23);
  return {Vec::Floats(n)};
}

inline float sum(Vec a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
// The greatest lane, where none is NaN.
inline float max_lane(Vec a) {
  return std::max(std::max(a.v[0], a.v[1]), std::max(a.v[2], a.v[3]));
}

// The sums of four vectors at once.
inline void sum4(Vec a, Vec b, Vec c, Vec d, float* sums) {
  sums[0] = sum(a), sums[1] = sum(b), sums[2] = sum(c), sums[3] = sum(d);
}

// rows[i][j] becomes rows[j][i].
inline void transpose(Vec (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const float above = rows[j].v[i];
      rows[j].v[i] = rows[i].v[j];
      rows[i].v[j] = above;
    }
  }
}

#endif

#if !defined(GRAFT_AVX512)
// a * 2^n for integers n from -126 to 128, rounded once. 2^n in two factors, since one float's exponent does
// not hold them all; adding 1.5 * 2^23 rounds to an integer that stands in the low bits.
inline Vec scale(Vec a, Vec n) {
  const Vec magic = broadcast(12582912.0f);
  const Vec half = fma(n, broadcast(0.5f), magic);
  const Vec rest = (n - (half - magic)) + magic;
  return a * exponent_from_low_bits(half) * exponent_from_low_bits(rest);
}
#endif

}  // namespace graft::simd
