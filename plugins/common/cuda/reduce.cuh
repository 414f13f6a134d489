// Sums over neighbouring lanes and over a block, the same bits every time.
#pragma once

#include "portability.h"

namespace graft::gpu {

// The value of the lane whose number differs in `mask`. All lanes of the warp take part.
__device__ __forceinline__ float from_lane_xor(float value, int mask) {
#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
  return __shfl_xor(value, mask);
#else
  return __shfl_xor_sync(0xffffffffu, value, mask);
#endif
}

// The sum over each group of G lanes (a power of two), in all of them.
template <int G>
__device__ __forceinline__ float group_sum(float value) {
#pragma unroll
  for (int mask = G / 2; mask > 0; mask /= 2) value += from_lane_xor(value, mask);
  return value;
}

// The sum over the block, in all threads. `shared` has a float for each warp, and is free again only after a __syncthreads() that
// follows: two that take turns need no other than the one in here. blockDim.x is a multiple of kWarp.
__device__ __forceinline__ float block_sum(float value, float* shared) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  value = group_sum<kWarp>(value);
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  return group_sum<kWarp>(lane < int(blockDim.x) / kWarp ? shared[lane] : 0.0f);
}

inline constexpr int kMaxThreads = 1024;
inline constexpr int kMaxWarps = kMaxThreads / kWarp;

inline int whole_warps(int64_t threads) {
  return int((threads + kWarp - 1) / kWarp * kWarp);
}

}  // namespace graft::gpu
