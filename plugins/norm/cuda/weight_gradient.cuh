// The sums that blocks have made for the gradient of the weight, added up in their order.
#pragma once

#include <algorithm>

#include "../../common/cuda/portability.h"

namespace graft::gpu {

// 10 MiB of partial sums: small beside what a backward with so many rows reads, and likely still in the L2 cache.
inline constexpr int64_t kPartialElements = 160 * 16384;

// How many rows of partial sums there are at most.
inline int64_t most_partials(int64_t width) {
  return std::max<int64_t>(1, kPartialElements / std::max<int64_t>(1, width));
}

// Monotone in both.
inline size_t partials_bytes(int64_t rows, int64_t width) {
  if (rows == 0) return 0;
  const int64_t wanted = rows > kPartialElements ? kPartialElements : std::min(rows * width, kPartialElements);
  return size_t(std::max(width, wanted)) * sizeof(float);
}

// 32 columns a block, each in 32 slices.
template <class T>
__global__ void __launch_bounds__(1024) add_partial_rows(const float* partials, int64_t count, int64_t width, T* out) {
  __shared__ float shared[32][33];
  const int x = threadIdx.x % 32, slice = threadIdx.x / 32;
  const int64_t column = int64_t(blockIdx.x) * 32 + x;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 4
    for (int64_t row = slice; row < count; row += 32) sum += partials[row * width + column];
  }
  shared[slice][x] = sum;
  __syncthreads();
  if (slice != 0 || column >= width) return;
  sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 32; ++i) sum += shared[i][x];
  out[column] = T(sum);
}

template <class T>
void add_partials(Stream stream, const float* partials, int64_t count, int64_t width, T* out) {
  add_partial_rows<<<unsigned((width + 31) / 32), 1024, 0, stream>>>(partials, count, width, out);
  check_launch();
}

}  // namespace graft::gpu
