// Products of 8 bits with sums of 32 by AVX-512 VNNI, sixteen times as many at once as of floats. Source:
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VPDPBUSD.
#pragma once

#include "simd.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define GRAFT_VNNI 1
#include <cpuid.h>
#endif

namespace graft::vnni {

#if defined(GRAFT_VNNI)

static inline bool available() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 11 & 1) != 0;
  }();
  return has;
}

// 16 sums, and 16 times four numbers of 8 bits.
struct Sums {
  __m512i v;
};
struct Fours {
  __m512i v;
};

inline Sums no_sums() {
  return {_mm512_setzero_si512()};
}
inline Fours load(const uint8_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline Fours broadcast(const int8_t* four) {
  int32_t bits;
  std::memcpy(&bits, four, sizeof bits);
  return {_mm512_set1_epi32(bits)};
}
// sums[i] += the sum of a[i][j] * b[i][j]; a without signs, b with. The compiler is not asked for VNNI, or it
// could use it where nobody has looked for it.
inline void add_products(Sums& sums, Fours a, Fours b) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums.v) : "v"(a.v), "v"(b.v));
}
// high * 256 + low - less
inline simd::Vec joined(Sums high, Sums low, int32_t less) {
  const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high.v, 8), low.v);
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(less)))};
}
// a[i][j] - 128 for all i.
inline simd::Vec widened(Fours a, int j) {
  const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(a.v, unsigned(8 * j)), _mm512_set1_epi32(255));
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(byte, _mm512_set1_epi32(128)))};
}

// x * factor as whole numbers of 16 bits, high * 256 + low, both with signs; returns their sum. Rounds to
// nearest even; |x * factor| is at most 32639, which is 127 * 256 + 127.
inline int32_t split(simd::Vec x, simd::Vec factor, int8_t* high, int8_t* low) {
  const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(x.v, factor.v));
  const __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(128)), 8);
  const __m512i lower = _mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm512_cvtepi32_epi8(upper));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm512_cvtepi32_epi8(lower));
  return _mm512_reduce_add_epi32(whole);
}

#else

static inline bool available() {
  return false;
}

#endif

}  // namespace graft::vnni
