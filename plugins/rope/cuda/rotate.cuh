// The rotation of heads by their positions, or back. Tensors are "B H T D" by name; in memory, what comes in is mostly "B T H D"
// and what goes out "B H T D". A block takes some tokens of a few heads, so that it reads and writes runs of some kilobytes on
// both sides.
#pragma once

#include <algorithm>

#include "../../common/cuda/pack.cuh"
#include "../../common/heads.h"

namespace graft::gpu {

// One tensor of heads and where it goes.
template <class T>
struct Turned {
  Heads<const T> from;
  Heads<T> to;
  int64_t heads;

  bool aligned(size_t bytes) const { return from.aligned(bytes) && to.aligned(bytes); }
};

template <class T>
struct Rotation {
  Turned<T> turned[2];  // queries and keys; one without heads is not there
  Heads<const T> cos, sin;
  int64_t batch, tokens, dim;
  unsigned groups = 0;  // of kHeadsAtOnce heads
};

// Heads that a thread turns by the same cos and sin, all of them in flight at once.
inline constexpr int kHeadsAtOnce = 4;

// Four packs of one position: those of the low half of a row and of the high one.
template <class T, int N, bool kBack>
struct Turn {
  Pack<T, N> cos_low, cos_high, sin_low, sin_high;

  __device__ __forceinline__ void operator()(const Pack<T, N>& from_low, const Pack<T, N>& from_high, T* low, T* high) const {
    float lows[N], highs[N];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float x = float(from_low.at[i]), y = float(from_high.at[i]);
      // Forth, the sine that a value goes with is that of its destination; back, of where it came from.
      const float to_low = kBack ? y * float(sin_high.at[i]) : -y * float(sin_low.at[i]);
      const float to_high = kBack ? -x * float(sin_low.at[i]) : x * float(sin_high.at[i]);
      lows[i] = fmaf(x, float(cos_low.at[i]), to_low);
      highs[i] = fmaf(y, float(cos_high.at[i]), to_high);
    }
    store(low, rounded<T>(lows));
    store(high, rounded<T>(highs));
  }
};

// Blocks that run together have the same tokens and different heads, so that what they read lies together and cos and sin are read
// from memory once. A block's kHeadsAtOnce heads are of the queries, or then of the keys. threadIdx.x: a pack of a token's row,
// threadIdx.y: the token.
template <class T, int N, bool kBack>
__global__ void __launch_bounds__(256) rotate_rows(Rotation<T> a) {
  const unsigned tokens_block = blockIdx.x / a.groups, group = blockIdx.x % a.groups;
  const int64_t token = int64_t(tokens_block) * blockDim.y + threadIdx.y;
  if (token >= a.batch * a.tokens) return;
  const int64_t place = token / a.tokens, at = token - place * a.tokens;
  const int first_groups = int((a.turned[0].heads + kHeadsAtOnce - 1) / kHeadsAtOnce);
  const bool second = int(group) >= first_groups;
  const Turned<T>& turned = a.turned[second];
  const int64_t head = int64_t(second ? group - first_groups : group) * kHeadsAtOnce;
  const int half = int(a.dim / 2);
  const T *cos = a.cos.row(place, 0, at), *sin = a.sin.row(place, 0, at);
  for (int i = threadIdx.x * N; i < half; i += blockDim.x * N) {
    Pack<T, N> low[kHeadsAtOnce], high[kHeadsAtOnce];
#pragma unroll
    for (int h = 0; h < kHeadsAtOnce; ++h) {
      const bool there = head + h < turned.heads;
      const T* from = turned.from.row(place, head + h, at) + i;
      low[h] = load_if<N>(there, from);
      high[h] = load_if<N>(there, from + half);
    }
    const Turn<T, N, kBack> turn{load<N>(cos + i), load<N>(cos + half + i), load<N>(sin + i), load<N>(sin + half + i)};
#pragma unroll
    for (int h = 0; h < kHeadsAtOnce; ++h) {
      T* to = turned.to.row(place, head + h, at) + i;
      if (head + h < turned.heads) turn(low[h], high[h], to, to + half);
    }
  }
}

template <bool kBack, class T>
void rotate_heads(Stream stream, Rotation<T> a) {
  const auto groups = [&](int i) { return (a.turned[i].heads + kHeadsAtOnce - 1) / kHeadsAtOnce; };
  const int64_t tokens = a.batch * a.tokens, half = a.dim / 2, group_count = groups(0) + groups(1);
  if (tokens == 0 || half == 0 || group_count == 0) return;
  a.groups = unsigned(group_count);
  const auto launch = [&]<int N>() {
    const int64_t lanes = std::min<int64_t>(half / N, 256), rows = std::min<int64_t>(256 / lanes, tokens);
    rotate_rows<T, N, kBack>
        <<<unsigned((tokens + rows - 1) / rows * group_count), dim3(unsigned(lanes), unsigned(rows)), 0, stream>>>(a);
  };
  bool packed = half % kPack<T> == 0 && a.cos.aligned(16) && a.sin.aligned(16);
  for (const Turned<T>& turned : a.turned) packed = packed && (turned.heads == 0 || turned.aligned(16));
  if (packed)
    launch.template operator()<kPack<T>>();
  else
    launch.template operator()<1>();
  check_launch();
}

}  // namespace graft::gpu
