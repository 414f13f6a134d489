// Puts the parts of out together that blocks made of parts of the keys.
#pragma once

#include <cstdint>

#include "plan.h"

namespace graft::gpu {

inline constexpr uint32_t kMergeRows = 4;  // a warp each

// parts [tokens, splits, heads, D], softmax of their own keys alone; lse [tokens, splits, heads], base 2, -inf: saw no key.
// out [tokens, heads, D]. A row that saw none gets zeros.
template <class T, int D>
__global__ __launch_bounds__(32 * kMergeRows) void merge_parts(const T* parts, const float* lse, T* out, uint32_t rows,
                                                               uint32_t heads, uint32_t splits) {
  constexpr uint32_t kWidth = D / 32, kLseEach = kMostSplits / 32;
  struct alignas(kWidth * sizeof(T)) Piece {
    T value[kWidth];
  };
  const uint32_t lane = threadIdx.x, row = blockIdx.x * kMergeRows + threadIdx.y;
  if (row >= rows) return;
  const uint32_t token = row / heads, head = row % heads;
  const uint32_t first = token * splits * heads + head;  // its row in the first part

  float weight[kLseEach], most = -INFINITY;
#pragma unroll
  for (uint32_t i = 0; i < kLseEach; ++i) {
    const uint32_t split = i * 32 + lane;
    weight[i] = split < splits ? lse[first + split * heads] : -INFINITY;
    most = fmaxf(most, weight[i]);
  }
#pragma unroll
  for (uint32_t offset = 16; offset > 0; offset /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, offset));
  float sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < kLseEach; ++i) {
    weight[i] = most == -INFINITY ? 0 : exp2f(weight[i] - most);
    sum += weight[i];
  }
#pragma unroll
  for (uint32_t offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);

  float total[kWidth] = {};
#pragma unroll
  for (uint32_t i = 0; i < kLseEach; ++i) {
    const uint32_t count = splits > i * 32 ? min(splits - i * 32, 32u) : 0;
#pragma unroll 8
    for (uint32_t j = 0; j < count; ++j) {
      const uint64_t at = uint64_t(first + (i * 32 + j) * heads) * D + lane * kWidth;
      const Piece piece = *reinterpret_cast<const Piece*>(parts + at);
      const float w = __shfl_sync(~0u, weight[i], j);
#pragma unroll
      for (uint32_t c = 0; c < kWidth; ++c) total[c] += w * float(piece.value[c]);
    }
  }
  const float scale = sum > 0 ? 1 / sum : 0;
  Piece piece;
#pragma unroll
  for (uint32_t c = 0; c < kWidth; ++c) piece.value[c] = T(total[c] * scale);
  *reinterpret_cast<Piece*>(out + uint64_t(row) * D + lane * kWidth) = piece;
}

}  // namespace graft::gpu
