// Sixteen: what one load of 16 bytes brings, as floats. Element: one value as a float and back.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "pack.cuh"
#include "reduce.cuh"

namespace graft::gpu {

template <class T>
struct Element {
  __device__ static float real(T value) { return static_cast<float>(value); }
  __device__ static T round(float value) { return static_cast<T>(value); }
};

template <class T>
struct Sixteen {
  static constexpr int kCount = 16 / int(sizeof(T));
  uint4 bits;

  // `from` is aligned to 16 bytes.
  __device__ static Sixteen load(const void* from) { return {*static_cast<const uint4*>(from)}; }
  // Of what is read once: it leaves the caches to others.
  __device__ static Sixteen stream(const void* from) {
#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
    return load(from);
#else
    return {__ldcs(static_cast<const uint4*>(from))};
#endif
  }
  // From anywhere, value by value.
  __device__ static Sixteen gather(const T* from) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (sizeof(T) == 4)
        words[i] = __float_as_uint(from[i]);
      else
        words[i] = to_bits(from[2 * i]) | to_bits(from[2 * i + 1]) << 16;
    }
    return {make_uint4(words[0], words[1], words[2], words[3])};
  }
  __device__ void store(void* to) const {
    *static_cast<uint4*>(to) = bits;
  }

  __device__ void unpack(float (&to)[kCount]) const {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (sizeof(T) == 4) {
        to[i] = __uint_as_float(words[i]);
      } else if constexpr (std::is_same_v<T, bf16>) {
        to[2 * i] = __uint_as_float(words[i] << 16);
        to[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
      } else {
        to[2 * i] = Element<T>::real(from_bits(uint16_t(words[i])));
        to[2 * i + 1] = Element<T>::real(from_bits(uint16_t(words[i] >> 16)));
      }
    }
  }

  __device__ static Sixteen pack(const float (&from)[kCount]) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (sizeof(T) == 4)
        words[i] = __float_as_uint(from[i]);
      else
        words[i] = to_bits(Element<T>::round(from[2 * i])) | to_bits(Element<T>::round(from[2 * i + 1])) << 16;
    }
    return {make_uint4(words[0], words[1], words[2], words[3])};
  }

 private:
  __device__ static T from_bits(uint16_t bits) {
    T value;
    memcpy(&value, &bits, sizeof(value));
    return value;
  }
  __device__ static uint32_t to_bits(T value) {
    uint16_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
  }
};

}  // namespace graft::gpu
