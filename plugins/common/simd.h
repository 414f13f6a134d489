// The vector types, so that each kernel is written once: Vec for float32 and bfloat16, Vec64 for float64,
// kLanes elements each.
//
// Loads and stores take any alignment and convert between what is in memory and what is in registers. load(p,
// n) and store(p, v, n) touch the first n < kLanes elements only; missing lanes load as 0.
#pragma once

#include <type_traits>

#include "simd_double.h"
#include "simd_float.h"

namespace graft::simd {

// What elements of type T are computed in: float for float and bf16, double for double.
template <class T>
using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;
template <class T>
using VecOf = std::conditional_t<std::is_same_v<T, double>, Vec64, Vec>;

template <class T>
inline VecOf<T> load(const T* p, int64_t n) {
  T lanes[kLanes] = {};
  std::memcpy(lanes, p, size_t(n) * sizeof(T));
  return load(lanes);
}
template <class T>
inline void store(T* p, VecOf<T> a, int64_t n) {
  T lanes[kLanes];
  store(lanes, a);
  std::memcpy(p, lanes, size_t(n) * sizeof(T));
}

// body(i, n) for [0, count) in steps of kLanes; n tells how many lanes are real. With n == kLanes a constant
// in the main loop, the compiler drops the partial path there.
template <class Body>
inline __attribute__((always_inline)) void for_lanes(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, std::integral_constant<int, kLanes>{});
  if (i < count) body(i, count - i);
}
template <class T, int N>
inline VecOf<T> load(const T* p, std::integral_constant<int, N>) {
  static_assert(N == kLanes);
  return load(p);
}
template <class T, int N>
inline void store(T* p, VecOf<T> a, std::integral_constant<int, N>) {
  static_assert(N == kLanes);
  store(p, a);
}

// The largest of what it takes, without signs; NaN if that was infinite or not a number.
class Magnitude {
 public:
  void take(Vec x) {
    largest_ = max(largest_, max(x, zero() - x));
    finite_ = fma(x, zero(), finite_);  // 0 * x is NaN for an infinity, too
  }
  float largest() const { return max_lane(largest_) + sum(finite_); }

 private:
  Vec largest_ = zero(), finite_ = zero();
};
template <class T>
float largest_magnitude(const T* values, int64_t count) {
  Magnitude magnitude;
  for_lanes(count, [&](int64_t i, auto n) { magnitude.take(load(values + i, n)); });
  return magnitude.largest();
}

}  // namespace graft::simd
