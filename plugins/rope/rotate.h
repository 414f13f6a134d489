// The rotation of rotary_pos_emb/1: half a row against the other half.
#pragma once

#include "../common/simd.h"

namespace graft {

template <class X, class C, class O>
void rotate(const X* x, const C* cos, const C* sin, O* out, int64_t half) {
  using namespace simd;
  for_lanes(half, [&](int64_t i, auto n) {
    const VecOf<X> low = load(x + i, n), high = load(x + half + i, n);
    const VecOf<X> from_high = broadcast(Real<X>{0}) - high * load(sin + i, n);
    const VecOf<X> from_low = low * load(sin + half + i, n);
    store(out + i, fma(low, load(cos + i, n), from_high), n);
    store(out + half + i, fma(high, load(cos + half + i, n), from_low), n);
  });
}

}  // namespace graft
