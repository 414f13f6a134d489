// SiLU and SiluAndMul, elementwise, and their gradients, see silu.cuh.
#pragma once

#include <graft/contracts/silu.h>
#include <graft/contracts/silu_and_mul.h>

#include "silu.cuh"

namespace graft {

using gpu::silu_and_mul;
using gpu::silu_and_mul_backward;

struct SiLU {
  explicit SiLU(const plugin::Attributes&) {}

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor out) const {
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      gpu::silu<T>(gpu::gpu_stream(call), x.data<T>(), out.data<T>(), x.numel());
    });
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs, uint64_t needs,
                plugin::Arguments grad_inputs) const {
    if ((needs & 1) == 0) return;
    const plugin::Tensor x = arguments.tensor(0), to = grad_inputs.tensor(0);
    const std::optional<plugin::Tensor> grad_out = grad_outputs.optional(0);
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      const gpu::Stream stream = gpu::gpu_stream(call);
      if (grad_out)
        gpu::silu_backward<T>(stream, x.data<T>(), grad_out->data<T>(), to.data<T>(), x.numel());
      else
        gpu::clear(stream, to.data<T>(), size_t(to.numel()) * sizeof(T));
    });
  }
};

struct SiluAndMul {
  explicit SiluAndMul(const plugin::Attributes&) {}

  static bool supports(const plugin::Attributes&, plugin::Arguments arguments) {
    return Rows<const char>(arguments.tensor(0)).width() % 2 == 0;  // strides that Rows does not take: it throws Unsupported
  }

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor out) const {
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      gpu::silu_and_mul(gpu::gpu_stream(call), Rows<const T>(x), out.data<T>());
    });
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs, uint64_t needs,
                plugin::Arguments grad_inputs) const {
    if ((needs & 1) == 0) return;
    const plugin::Tensor x = arguments.tensor(0), to = grad_inputs.tensor(0);
    const std::optional<plugin::Tensor> grad_out = grad_outputs.optional(0);
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      const gpu::Stream stream = gpu::gpu_stream(call);
      if (grad_out)
        gpu::silu_and_mul_backward(stream, Rows<const T>(x), grad_out->data<T>(), Rows<T>(to));
      else
        gpu::clear(stream, to.data<T>(), size_t(to.numel()) * sizeof(T));
    });
  }
};

}  // namespace graft
