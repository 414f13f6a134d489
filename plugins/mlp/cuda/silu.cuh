// SiLU and silu(gate) * up on contiguous elements or on rows, and their gradients. Computed in float32, rounded once.
#pragma once

#include "../../common/cuda/elementwise.cuh"
#include "../../common/rows.h"

namespace graft::gpu {

__device__ __forceinline__ float sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + __expf(-x));
}

struct SiluAt {
  float value, derivative;
  __device__ __forceinline__ explicit SiluAt(float x) {
    const float s = sigmoid(x);
    value = x * s;
    derivative = s * fmaf(x, 1.0f - s, 1.0f);
  }
};

template <class T, int N, int kInputs>
struct Packs {
  Pack<T, N> at[kInputs];
};

template <class T>
struct SiluWork {
  static constexpr int kInFlight = 4;
  const T* x;
  T* out;

  template <int N>
  __device__ __forceinline__ Packs<T, N, 1> load(int64_t i) const {
    return {{gpu::load<N>(x + i)}};
  }
  template <int N>
  __device__ __forceinline__ void store(int64_t i, const Packs<T, N, 1>& in) const {
    float values[N];
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = SiluAt(float(in.at[0].at[j])).value;
    gpu::store(out + i, rounded<T>(values));
  }
};

template <class T>
struct SiluBackwardWork {
  static constexpr int kInFlight = 2;
  const T *x, *grad_out;
  T* grad_x;

  template <int N>
  __device__ __forceinline__ Packs<T, N, 2> load(int64_t i) const {
    return {{gpu::load<N>(x + i), gpu::load<N>(grad_out + i)}};
  }
  template <int N>
  __device__ __forceinline__ void store(int64_t i, const Packs<T, N, 2>& in) const {
    float values[N];
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = float(in.at[1].at[j]) * SiluAt(float(in.at[0].at[j])).derivative;
    gpu::store(grad_x + i, rounded<T>(values));
  }
};

// Where element i of "rows times width" stands: in tensors of their own, one behind the other …
template <class T>
struct Apart {
  T *gate_data, *up_data;
  __device__ __forceinline__ T* gate(int64_t i) const { return gate_data + i; }
  __device__ __forceinline__ T* up(int64_t i) const { return up_data + i; }
};

// … or side by side in rows of 2 * width. A pack does not reach across the end of a row.
template <class T>
struct SideBySide {
  Rows<T> rows;
  int64_t width;
  __device__ __forceinline__ T* gate(int64_t i) const {
    int64_t row, column;
    if ((i | width) >> 32 == 0) {  // a division of 64 bits takes several times as long
      row = uint32_t(i) / uint32_t(width);
      column = uint32_t(i) % uint32_t(width);
    } else {
      row = i / width;
      column = i % width;
    }
    return rows[row] + column;
  }
  __device__ __forceinline__ T* up(int64_t i) const { return gate(i) + width; }
};

template <class T, class From>
struct SiluAndMulWork {
  static constexpr int kInFlight = 2;
  From from;
  T* out;

  template <int N>
  __device__ __forceinline__ Packs<T, N, 2> load(int64_t i) const {
    return {{gpu::load<N>(from.gate(i)), gpu::load<N>(from.up(i))}};
  }
  template <int N>
  __device__ __forceinline__ void store(int64_t i, const Packs<T, N, 2>& in) const {
    float values[N];
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = SiluAt(float(in.at[0].at[j])).value * float(in.at[1].at[j]);
    gpu::store(out + i, rounded<T>(values));
  }
};

template <class T, class From, class To>
struct SiluAndMulBackwardWork {
  static constexpr int kInFlight = 2;
  From from;
  const T* grad_out;
  To to;

  template <int N>
  __device__ __forceinline__ Packs<T, N, 3> load(int64_t i) const {
    return {{gpu::load<N>(from.gate(i)), gpu::load<N>(from.up(i)), gpu::load<N>(grad_out + i)}};
  }
  template <int N>
  __device__ __forceinline__ void store(int64_t i, const Packs<T, N, 3>& in) const {
    float gates[N], ups[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const SiluAt silu(float(in.at[0].at[j]));
      const float grad = float(in.at[2].at[j]);
      gates[j] = grad * float(in.at[1].at[j]) * silu.derivative;
      ups[j] = grad * silu.value;
    }
    gpu::store(to.gate(i), rounded<T>(gates));
    gpu::store(to.up(i), rounded<T>(ups));
  }
};

template <class T>
void silu(Stream stream, const T* x, T* out, int64_t n) {
  for_each_pack<T>(stream, n, aligned16(x, out), SiluWork<T>{x, out});
}

template <class T>
void silu_backward(Stream stream, const T* x, const T* grad_out, T* grad_x, int64_t n) {
  for_each_pack<T>(stream, n, aligned16(x, grad_out, grad_x), SiluBackwardWork<T>{x, grad_out, grad_x});
}

// out = silu(gate) * up, each of n elements; out may be gate or up.
template <class T>
void silu_and_mul(Stream stream, const T* gate, const T* up, T* out, int64_t n) {
  using From = Apart<const T>;
  for_each_pack<T>(stream, n, aligned16(gate, up, out), SiluAndMulWork<T, From>{{gate, up}, out});
}

// Each of n elements; a gradient may overwrite what it is the gradient of, or grad_out.
template <class T>
void silu_and_mul_backward(Stream stream, const T* gate, const T* up, const T* grad_out, T* grad_gate, T* grad_up, int64_t n) {
  for_each_pack<T>(stream, n, aligned16(gate, up, grad_out, grad_gate, grad_up),
                   SiluAndMulBackwardWork<T, Apart<const T>, Apart<T>>{{gate, up}, grad_out, {grad_gate, grad_up}});
}

// The same with gate and up side by side in a row of x, as SiluAndMul/1 has them.
template <class T>
void silu_and_mul(Stream stream, const Rows<const T>& x, T* out) {
  const int64_t width = x.width() / 2;
  for_each_pack<T>(stream, x.count() * width, width % kPack<T> == 0 && x.aligned(16) && aligned16(out),
                   SiluAndMulWork<T, SideBySide<const T>>{{x, width}, out});
}

template <class T>
void silu_and_mul_backward(Stream stream, const Rows<const T>& x, const T* grad_out, const Rows<T>& grad_x) {
  const int64_t width = x.width() / 2;
  for_each_pack<T>(stream, x.count() * width, width % kPack<T> == 0 && x.aligned(16) && aligned16(grad_out) && grad_x.aligned(16),
                   SiluAndMulBackwardWork<T, SideBySide<const T>, SideBySide<T>>{{x, width}, grad_out, {grad_x, width}});
}

}  // namespace graft::gpu
