// Pack: elements that one thread loads and stores in one access of up to 16 bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "portability.h"

namespace graft::gpu {

template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T at[N];
};

// Elements of 16 bytes.
template <class T>
inline constexpr int kPack = 16 / int(sizeof(T));

// `from` is aligned to the whole pack. By way of uint4: copied as a struct, it may be taken apart into its elements.
template <int N, class T>
__device__ __forceinline__ Pack<std::remove_const_t<T>, N> load(T* from) {
  using P = Pack<std::remove_const_t<T>, N>;
  if constexpr (sizeof(P) == 16) {
    const uint4 bits = *reinterpret_cast<const uint4*>(from);
    P values;
    memcpy(&values, &bits, 16);
    return values;
  } else {
    return *reinterpret_cast<const P*>(from);
  }
}

// Zeros unless `there`.
template <int N, class T>
__device__ __forceinline__ Pack<std::remove_const_t<T>, N> load_if(bool there, T* from) {
  if (there) return load<N>(from);
  Pack<std::remove_const_t<T>, N> zeros;
  for (int i = 0; i < N; ++i) zeros.at[i] = std::remove_const_t<T>(0.0f);
  return zeros;
}

template <class T, int N>
__device__ __forceinline__ void store(T* to, const Pack<T, N>& values) {
  if constexpr (sizeof(values) == 16) {
    uint4 bits;
    memcpy(&bits, &values, 16);
    *reinterpret_cast<uint4*>(to) = bits;
  } else {
    *reinterpret_cast<Pack<T, N>*>(to) = values;
  }
}

// Two floats rounded to T, in one instruction where there is one.
template <class T>
__device__ __forceinline__ void round_two(T* to, float first, float second) {
#if !defined(__HIP_PLATFORM_AMD__) && !defined(__HIPCC__)
  if constexpr (std::is_same_v<T, bf16>) {
    const __nv_bfloat162 two = __floats2bfloat162_rn(first, second);
    memcpy(to, &two, 4);
  } else if constexpr (std::is_same_v<T, half>) {
    const __half2 two = __floats2half2_rn(first, second);
    memcpy(to, &two, 4);
  } else
#endif
  {
    to[0] = T(first);
    to[1] = T(second);
  }
}

template <class T, int N>
__device__ __forceinline__ Pack<T, N> rounded(const float (&values)[N]) {
  Pack<T, N> out;
  if constexpr (N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2) round_two(out.at + i, values[i], values[i + 1]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = T(values[i]);
  }
  return out;
}

// Whether 16 bytes at a time may be read from or written to all of these; null pointers may.
template <class... T>
bool aligned16(const T*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

}  // namespace graft::gpu
