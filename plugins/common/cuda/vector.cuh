// Eight elements at a time, as float or as they are.
#pragma once

#include "reduce.cuh"

namespace graft::gpu {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__device__ inline float to_float(half x) { return __half2float(x); }

template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) { return x; }
template <>
__device__ inline bf16 from_float<bf16>(float x) { return __float2bfloat16(x); }
template <>
__device__ inline half from_float<half>(float x) { return __float2half(x); }

// As torch rounds between two operators.
template <class T>
__device__ float rounded(float x) { return to_float(from_float<T>(x)); }

inline constexpr int kEight = 8;

template <class T>
struct alignas(16) Eight {
  T at[kEight];
};

// What an earlier kernel of the same chain has written: by way of L2, since this block may have started before that kernel ended.
template <class T>
__device__ Eight<T> load_written(const T* from) {
  Eight<T> out;
  auto* words = reinterpret_cast<uint4*>(&out);
  const auto* source = reinterpret_cast<const uint4*>(from);
#pragma unroll
  for (int i = 0; i < int(sizeof(out) / sizeof(uint4)); ++i) words[i] = __ldcg(source + i);
  return out;
}

// Weights: read once in a step, so that they need not push anything else out of L1.
__device__ inline uint4 load_weights(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
  return v;
}

template <class T>
__device__ Eight<T> load_eight_weights(const T* from) {
  Eight<T> out;
  auto* words = reinterpret_cast<uint4*>(&out);
#pragma unroll
  for (int i = 0; i < int(sizeof(out) / sizeof(uint4)); ++i) words[i] = load_weights(reinterpret_cast<const uint4*>(from) + i);
  return out;
}

}  // namespace graft::gpu
