// silu(gate) * up, elementwise, and its gradients. Outputs may lie where inputs do, element for element.
#pragma once

#include "../../common/cuda/sixteen_bytes.cuh"

namespace graft::gpu {

inline constexpr int kActivationThreads = 256;

template <class T>
__global__ void silu_and_mul_each(const T* gate, const T* up, T* out, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float g = Element<T>::real(gate[i]), silu = g / (1.0f + __expf(-g));
  out[i] = Element<T>::round(Element<T>::real(Element<T>::round(silu)) * Element<T>::real(up[i]));
}

template <class T>
__global__ void silu_and_mul_backward_each(const T* gate, const T* up, const T* grad_out, T* grad_gate, T* grad_up, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float g = Element<T>::real(gate[i]), u = Element<T>::real(up[i]), d = Element<T>::real(grad_out[i]);
  const float s = 1.0f / (1.0f + __expf(-g));
  grad_gate[i] = Element<T>::round(d * u * (s * (1.0f + g * (1.0f - s))));
  grad_up[i] = Element<T>::round(d * (g * s));
}

// out = silu(gate) * up
template <class T>
void silu_and_mul(Stream stream, const T* gate, const T* up, T* out, int64_t n) {
  if (n == 0) return;
  silu_and_mul_each<<<unsigned((n + kActivationThreads - 1) / kActivationThreads), kActivationThreads, 0, stream>>>(gate, up, out,
                                                                                                                    n);
  check_launch();
}

template <class T>
void silu_and_mul_backward(Stream stream, const T* gate, const T* up, const T* grad_out, T* grad_gate, T* grad_up, int64_t n) {
  if (n == 0) return;
  silu_and_mul_backward_each<<<unsigned((n + kActivationThreads - 1) / kActivationThreads), kActivationThreads, 0, stream>>>(
      gate, up, grad_out, grad_gate, grad_up, n);
  check_launch();
}

}  // namespace graft::gpu
