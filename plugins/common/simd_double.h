// Vec64: as many doubles as Vec has floats, so that a kernel written over the vector type serves float64 too.
// It is there for checking gradients: right first, and as fast as the compiler makes these loops.
#pragma once

#include <cmath>

#include "simd_float.h"

namespace graft::simd {

struct Vec64 {
  using Scalar = double;
  double v[kLanes];
};

// A vector whose lane i is lane(i).
template <class Lane>
inline Vec64 lanes_of(const Lane& lane) {
  Vec64 made;
  for (int i = 0; i < kLanes; ++i) made.v[i] = lane(i);
  return made;
}

inline double to_real(double x) {
  return x;
}
inline void from_real(double x, double* to) {
  *to = x;
}

inline Vec64 broadcast(double x) {
  return lanes_of([&](int) { return x; });
}
inline Vec64 load(const double* p) {
  return lanes_of([&](int i) { return p[i]; });
}
inline void store(double* p, Vec64 a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.v[i];
}

inline Vec64 operator+(Vec64 a, Vec64 b) {
  return lanes_of([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec64 operator-(Vec64 a, Vec64 b) {
  return lanes_of([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec64 operator*(Vec64 a, Vec64 b) {
  return lanes_of([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec64 operator/(Vec64 a, Vec64 b) {
  return lanes_of([&](int i) { return a.v[i] / b.v[i]; });
}
// a * b + c
inline Vec64 fma(Vec64 a, Vec64 b, Vec64 c) {
#if defined(__FMA__)
  return lanes_of([&](int i) { return __builtin_fma(a.v[i], b.v[i], c.v[i]); });
#else
  return a * b + c;
#endif
}
// If either is NaN, b.
inline Vec64 max(Vec64 a, Vec64 b) {
  return lanes_of([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec64 exp(Vec64 x) {
  return lanes_of([&](int i) { return std::exp(x.v[i]); });
}

inline double sum(Vec64 a) {
  double all = 0;
  for (double x : a.v) all += x;
  return all;
}
// The greatest lane, where none is NaN.
inline double max_lane(Vec64 a) {
  return *std::max_element(a.v, a.v + kLanes);
}
inline void sum4(Vec64 a, Vec64 b, Vec64 c, Vec64 d, double* sums) {
  sums[0] = sum(a), sums[1] = sum(b), sums[2] = sum(c), sums[3] = sum(d);
}

// rows[i][j] becomes rows[j][i].
inline void transpose(Vec64 (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const double above = rows[j].v[i];
      rows[j].v[i] = rows[i].v[j];
      rows[i].v[j] = above;
    }
  }
}

}  // namespace graft::simd
