// Products of weights of 8 bits with numbers of 16 bits, summed in 32: some times as many at once as of
// floats. Some weights of a column stand side by side for it: four, times both halves of four numbers, by
// AVX-512 VNNI, where the processor has it; two by AVX2's VPMADDWD. Source: Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 2, VPDPBUSD and PMADDWD.
#pragma once

#include "simd.h"

#if defined(GRAFT_AVX512)
#include <cpuid.h>
#endif
#if defined(__AVX2__) && defined(__FMA__)
#define GRAFT_WHOLE_PRODUCTS 1
#endif

namespace graft::whole {

// What numbers are at most: 127 * 256 + 127, which falls into two halves with signs.
inline constexpr float kMost = 32639;

#if defined(GRAFT_AVX512)

inline constexpr int kTogether = 4;
inline constexpr uint8_t kFlipped = 128;  // weights without signs, as VNNI takes them: q + 128

static inline bool available() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 11 & 1) != 0;
  }();
  return has;
}

// N numbers, each high * 256 + low.
template <int64_t N>
struct Numbers {
  int8_t high[N], low[N];
};
// kTogether weights each of 16 columns; as many numbers for all of them; the columns' sums.
struct Weights {
  __m512i v;
};
struct Factors {
  __m512i high, low;
};
struct Sums {
  __m512i high, low;
};

inline Weights load(const int8_t* p) {
  return {_mm512_loadu_si512(p)};
}
template <int64_t N>
inline Factors broadcast(const Numbers<N>& numbers, int64_t i) {
  int32_t high, low;
  std::memcpy(&high, numbers.high + i, sizeof high);
  std::memcpy(&low, numbers.low + i, sizeof low);
  return {_mm512_set1_epi32(high), _mm512_set1_epi32(low)};
}
// The compiler is not asked for VNNI, or it could use it where nobody has looked for it.
inline void add_products(Sums& sums, Weights weights, Factors factors) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums.high) : "v"(weights.v), "v"(factors.high));
  asm("vpdpbusd %2, %1, %0" : "+v"(sums.low) : "v"(weights.v), "v"(factors.low));
}
// Where the numbers' sum is `total`, which weights that are 128 too large count 128 times.
inline simd::Vec result(Sums sums, int32_t total) {
  const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(sums.high, 8), sums.low);
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(128 * total)))};
}
// Weight j of each column.
inline simd::Vec widened(Weights a, int j) {
  const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(a.v, unsigned(8 * j)), _mm512_set1_epi32(255));
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(byte, _mm512_set1_epi32(128)))};
}

// x * factor as numbers [i, i + kLanes), rounded to nearest even; returns their sum.
template <int64_t N>
inline int32_t round(simd::Vec x, simd::Vec factor, Numbers<N>& to, int64_t i) {
  const __m512i number = _mm512_cvtps_epi32(_mm512_mul_ps(x.v, factor.v));
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(number, _mm512_set1_epi32(128)), 8);
  const __m512i low = _mm512_sub_epi32(number, _mm512_slli_epi32(high, 8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.high + i), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.low + i), _mm512_cvtepi32_epi8(low));
  return _mm512_reduce_add_epi32(number);
}

#elif defined(GRAFT_WHOLE_PRODUCTS)

inline constexpr int kTogether = 2;
inline constexpr uint8_t kFlipped = 0;

static inline bool available() {
  return true;
}

template <int64_t N>
struct Numbers {
  int16_t values[N];
};
struct Weights {  // kTogether each of 8 columns, 16 bits each
  __m256i v;
};
struct Factors {
  __m256i v;
};
struct Sums {
  __m256i v;
};

inline Weights load(const int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
template <int64_t N>
inline Factors broadcast(const Numbers<N>& numbers, int64_t i) {
  int32_t pair;
  std::memcpy(&pair, numbers.values + i, sizeof pair);
  return {_mm256_set1_epi32(pair)};
}
// Two products are at most 2 * 127 * kMost: 259 times that fit.
inline void add_products(Sums& sums, Weights weights, Factors factors) {
  sums.v = _mm256_add_epi32(sums.v, _mm256_madd_epi16(weights.v, factors.v));
}
inline simd::Vec result(Sums sums, int32_t) {
  return {_mm256_cvtepi32_ps(sums.v)};
}
inline simd::Vec widened(Weights a, int j) {
  return {_mm256_cvtepi32_ps(_mm256_srai_epi32(j == 0 ? _mm256_slli_epi32(a.v, 16) : a.v, 16))};
}

template <int64_t N>
inline int32_t round(simd::Vec x, simd::Vec factor, Numbers<N>& to, int64_t i) {
  const __m256i number = _mm256_cvtps_epi32(_mm256_mul_ps(x.v, factor.v));
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(number), _mm256_extracti128_si256(number, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.values + i), half);
  return 0;
}

#else

inline constexpr int kTogether = 1;
inline constexpr uint8_t kFlipped = 0;
static inline bool available() {
  return false;
}
template <int64_t N>
struct Numbers {};

#endif

}  // namespace graft::whole
