// Products of weights of 8 bits with numbers of 16 bits, summed in 32: some times as many at once as of
// floats. Some weights of a column stand side by side for it: four, times both halves of four numbers, by
// AVX-512 VNNI, where the processor has it; two by AVX2's VPMADDWD. For many rows, which wait for arithmetic
// alone, weights are widened to 16 bits and stand in pairs on both. Source: Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 2, VPDPBUSD, VPDPWSSD and PMADDWD.
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
// So many numbers and weights of a column, along the depth, share a scale, and a sum: at most 64 * 127 *
// kMost.
inline constexpr int64_t kGroup = 64;
inline constexpr int64_t groups_of(int64_t depth) {
  return (depth + kGroup - 1) / kGroup;
}

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

// See common/int8_few_rows.h.
static inline bool prefers_one_stream() {
  static const bool does = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return available() && __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_AMD_ebx;
  }();
  return does;
}

// Of a group, each high * 256 + low.
struct Numbers {
  int8_t high[kGroup], low[kGroup];
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
inline Factors broadcast(const Numbers& numbers, int64_t i) {
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
inline int32_t round(simd::Vec x, simd::Vec factor, Numbers& to, int64_t i) {
  const __m512i number = _mm512_cvtps_epi32(_mm512_mul_ps(x.v, factor.v));
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(number, _mm512_set1_epi32(128)), 8);
  const __m512i low = _mm512_sub_epi32(number, _mm512_slli_epi32(high, 8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.high + i), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.low + i), _mm512_cvtepi32_epi8(low));
  return _mm512_reduce_add_epi32(number);
}

// The same with pairs: two weights each of 16 columns, two numbers for all of them, and the sums.
struct PairNumbers {
  int16_t values[kGroup];
};
struct PairWeights {
  __m512i v;
};
struct PairFactors {
  __m512i v;
};
struct PairSums {
  __m512i v;
};

inline PairWeights load(const int16_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline PairFactors broadcast(const PairNumbers& numbers, int64_t i) {
  int32_t pair;
  std::memcpy(&pair, numbers.values + i, sizeof pair);
  return {_mm512_set1_epi32(pair)};
}
inline void add_products(PairSums& sums, PairWeights weights, PairFactors factors) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sums.v) : "v"(weights.v), "v"(factors.v));
}
inline simd::Vec result(PairSums sums) {
  return {_mm512_cvtepi32_ps(sums.v)};
}
inline int32_t round(simd::Vec x, simd::Vec factor, PairNumbers& to, int64_t i) {
  const __m512i number = _mm512_cvtps_epi32(_mm512_mul_ps(x.v, factor.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.values + i), _mm512_cvtepi32_epi16(number));
  return 0;
}
// What stands together, in pairs `apart` from one another.
inline void store_pairs(Weights weights, int16_t* to, int64_t apart) {
  const __m512i q = _mm512_xor_si512(weights.v, _mm512_set1_epi8(int8_t(kFlipped)));
  const __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(q, 8), 8), odd = _mm512_srai_epi16(q, 8);
  constexpr __mmask32 kSecond = 0xaaaaaaaa;
  _mm512_storeu_si512(to, _mm512_mask_blend_epi16(kSecond, even, _mm512_slli_epi32(odd, 16)));
  _mm512_storeu_si512(to + apart, _mm512_mask_blend_epi16(kSecond, _mm512_srli_epi32(even, 16), odd));
}

#elif defined(GRAFT_WHOLE_PRODUCTS)

inline constexpr int kTogether = 2;
inline constexpr uint8_t kFlipped = 0;

static inline bool available() {
  return true;
}
static inline bool prefers_one_stream() {
  return false;
}

struct Numbers {
  int16_t values[kGroup];
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
using PairNumbers = Numbers;
using PairWeights = Weights;
using PairFactors = Factors;
using PairSums = Sums;

inline Weights load(const int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline Weights load(const int16_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline Factors broadcast(const Numbers& numbers, int64_t i) {
  int32_t pair;
  std::memcpy(&pair, numbers.values + i, sizeof pair);
  return {_mm256_set1_epi32(pair)};
}
// Two instructions in one place: GCC would take a product of many sums first, and spill these.
inline void add_products(Sums& sums, Weights weights, Factors factors) {
  __m256i products;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
      : "+x"(sums.v), "=&x"(products)
      : "x"(weights.v), "x"(factors.v));
}
inline simd::Vec result(Sums sums, int32_t = 0) {
  return {_mm256_cvtepi32_ps(sums.v)};
}
inline simd::Vec widened(Weights a, int j) {
  return {_mm256_cvtepi32_ps(_mm256_srai_epi32(j == 0 ? _mm256_slli_epi32(a.v, 16) : a.v, 16))};
}

inline int32_t round(simd::Vec x, simd::Vec factor, Numbers& to, int64_t i) {
  const __m256i number = _mm256_cvtps_epi32(_mm256_mul_ps(x.v, factor.v));
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(number), _mm256_extracti128_si256(number, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.values + i), half);
  return 0;
}
inline void store_pairs(Weights weights, int16_t* to, int64_t) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), weights.v);
}

#else

inline constexpr int kTogether = 1;
inline constexpr uint8_t kFlipped = 0;
static inline bool available() {
  return false;
}
static inline bool prefers_one_stream() {
  return false;
}
struct Numbers {};
struct PairNumbers {};

#endif

}  // namespace graft::whole
