// SwiGLUMLP: out = (silu(x @ gate^T) * (x @ up^T)) @ down^T. Few rows, as in decode, are two launches of our own that read each
// weight once (common/cuda/few_rows.cuh); more rows are products of cuBLASLt with the activation between them.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>
#include <optional>

#include "../../common/cuda/few_rows.cuh"
#include "../../common/cuda/matmul.h"
#include "../../common/cuda/pieces.h"
#include "../../common/cuda/wanted.h"
#include "../../common/rows.h"
#include "activations.cuh"

namespace graft {

class SwiGLUMLP {
  using Tensor = plugin::Tensor;
  template <class T>
  using Matrix = gpu::Matrix<T>;

 public:
  explicit SwiGLUMLP(const plugin::Attributes&) {}

  static bool supports(const plugin::Attributes&, plugin::Arguments arguments) {
    gpu::require_products();
    const Rows<const char> rows(arguments.tensor(kX));
    return rows.evenly_spaced() && (rows.count() <= 1 || rows.stride() >= rows.width());
  }

  size_t workspace_size(plugin::Arguments arguments, uint32_t) const {
    const Tensor x = arguments.tensor(kX);
    return Layout(std::min(row_count(x), kRowsAtOnce), arguments.tensor(kGate).size(0), x.dtype(), nullptr).size;
  }
  size_t backward_workspace_size(plugin::Arguments arguments, uint32_t) const {
    const Tensor x = arguments.tensor(kX);
    return Layout(row_count(x), arguments.tensor(kGate).size(0), x.dtype(), nullptr).size;
  }

  void forward(const plugin::Call& call, Tensor x, Tensor gate, Tensor up, Tensor down, Tensor out,
               std::optional<Tensor> gate_out, std::optional<Tensor> up_out) const {
    gpu::with_dtype(x.dtype(), [&]<class T>(T) {
      const int64_t rows = row_count(x), width = gate.size(1), inner = gate.size(0);
      const Layout memory(std::min(rows, kRowsAtOnce), inner, x.dtype(), call.workspace<void>());
      T* to_gate = gate_out ? gate_out->data<T>() : nullptr;
      T* to_up = up_out ? up_out->data<T>() : nullptr;
      if (gpu::fits_few_rows(rows, width, inner) && gpu::fits_few_rows(rows, inner, width))
        stream_weights<T>(call, Rows<const T>(x), gate, up, down, static_cast<T*>(memory.a), out.data<T>(), to_gate, to_up);
      else
        multiply<T>(call, matrix<const T>(x), matrix<const T>(gate), matrix<const T>(up), matrix<const T>(down), matrix<T>(out),
                    memory, to_gate, to_up);
    });
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs, uint64_t needs,
                plugin::Arguments grad_inputs) const {
    const auto wanted = [&](int index) { return gpu::wanted(grad_inputs, needs, index); };
    const Gradients to{wanted(kX), wanted(kGate), wanted(kUp), wanted(kDown)};
    if (!grad_outputs.has(0)) {
      for (const auto& tensor : {to.x, to.gate, to.up, to.down}) gpu::set_zero(gpu::gpu_stream(call), tensor);
      return;
    }
    gpu::with_dtype(arguments.tensor(kX).dtype(),
                    [&]<class T>(T) { differentiate<T>(call, arguments, grad_outputs.tensor(0), to); });
  }

 private:
  enum { kX, kGate, kUp, kDown, kOut, kGateOut, kUpOut };
  // Forward takes more rows than that in turns: the workspace has an end, and products are no faster for more.
  static constexpr int64_t kRowsAtOnce = 8192;

  // The workspace: what the products need, and three matrices [rows, I].
  struct Layout {
    void *products, *a, *b, *c;
    size_t size;

    Layout(int64_t rows, int64_t inner, graft_dtype dtype, void* memory) {
      const size_t bytes = size_t(rows) * size_t(inner) * (dtype.bits / 8);
      gpu::Pieces pieces(memory);
      products = pieces.take<char>(gpu::kMatmulWorkspace);
      a = pieces.take<char>(bytes);
      b = pieces.take<char>(bytes);
      c = pieces.take<char>(bytes);
      size = pieces.used();
    }
  };

  struct Gradients {
    std::optional<Tensor> x, gate, up, down;
  };

  // A tensor "... H" whose rows are evenly spaced, see supports().
  template <class T>
  static Matrix<T> matrix(const Tensor& tensor) {
    const Rows<T> rows(tensor);
    if (!rows.evenly_spaced() || (rows.count() > 1 && rows.stride() < rows.width()))
      throw plugin::Unsupported("rows are not evenly spaced, or overlap");
    return {rows[0], rows.count(), rows.width(), rows.count() > 1 ? rows.stride() : rows.width()};
  }

  template <class T>
  static void stream_weights(const plugin::Call& call, const Rows<const T>& x, const Tensor& gate, const Tensor& up,
                             const Tensor& down, T* hidden, T* out, T* gate_out, T* up_out) {
    const int64_t width = gate.size(1), inner = gate.size(0);
    const gpu::Stream stream = gpu::gpu_stream(call);
    gpu::FewRows<T> inputs{.row = {}, .count = int(x.count())}, between = inputs;
    for (int i = 0; i < inputs.count; ++i) inputs.row[i] = x[i], between.row[i] = hidden + i * inner;
    gpu::multiply_few_rows(stream, inputs, width, inner,
                           gpu::WriteGated<T>{{gate.data<T>(), up.data<T>()}, hidden, gate_out, up_out});
    gpu::multiply_few_rows(stream, between, inner, width, gpu::WriteLinear<T>{{down.data<T>()}, nullptr, out});
  }

  // `gate_out`, `up_out`: [M, I], or null if not wanted.
  template <class T>
  static void multiply(const plugin::Call& call, const Matrix<const T>& x, const Matrix<const T>& gate, const Matrix<const T>& up,
                       const Matrix<const T>& down, const Matrix<T>& out, const Layout& memory, T* gate_out, T* up_out) {
    const gpu::Products products(call, memory.products);
    const int64_t inner = gate.rows;
    for (int64_t row = 0; row < x.rows; row += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, x.rows - row);
      const auto between = [&](T* kept, void* scratch) {
        return Matrix<T>(kept != nullptr ? kept + row * inner : static_cast<T*>(scratch), count, inner);
      };
      const Matrix<T> gates = between(gate_out, memory.b), ups = between(up_out, memory.c), hidden = between(nullptr, memory.a);
      const auto some = gpu::rows(x.rows_from(row, count));
      gpu::multiply(products, some, gpu::transposed(gate), gates);
      gpu::multiply(products, some, gpu::transposed(up), ups);
      gpu::silu_and_mul<T>(products.stream, gates.data, ups.data, hidden.data, count * inner);
      gpu::multiply(products, gpu::rows(hidden), gpu::transposed(down), out.rows_from(row, count));
    }
  }

  template <class T>
  static void differentiate(const plugin::Call& call, const plugin::Arguments& arguments, const Tensor& grad_out_tensor,
                            const Gradients& to) {
    const auto x = matrix<const T>(arguments.tensor(kX)), gate = matrix<const T>(arguments.tensor(kGate)),
               up = matrix<const T>(arguments.tensor(kUp)), down = matrix<const T>(arguments.tensor(kDown)),
               grad_out = matrix<const T>(grad_out_tensor);
    const int64_t count = x.rows * gate.rows;
    const Layout memory(x.rows, gate.rows, arguments.tensor(kX).dtype(), call.workspace<void>());
    const auto between = [&](void* scratch) { return Matrix<T>(static_cast<T*>(scratch), x.rows, gate.rows); };
    const gpu::Products products(call, memory.products);

    const Matrix<T> grad_gates = between(memory.b), grad_ups = between(memory.c);
    const T *gates = kept<T>(arguments, kGateOut), *ups = kept<T>(arguments, kUpOut);
    if (gates == nullptr || ups == nullptr) {  // their gradients take their place then
      gpu::multiply(products, gpu::rows(x), gpu::transposed(gate), grad_gates);
      gpu::multiply(products, gpu::rows(x), gpu::transposed(up), grad_ups);
      gates = grad_gates.data, ups = grad_ups.data;
    }
    if (to.down) {
      const Matrix<T> hidden = between(memory.a);
      gpu::silu_and_mul<T>(products.stream, gates, ups, hidden.data, count);
      gpu::multiply(products, gpu::transposed(grad_out), gpu::rows(hidden), matrix<T>(*to.down));
    }
    if (!to.x && !to.gate && !to.up) return;
    const Matrix<T> grad_hidden = between(memory.a);
    gpu::multiply(products, gpu::rows(grad_out), gpu::rows(down), grad_hidden);
    gpu::silu_and_mul_backward<T>(products.stream, gates, ups, grad_hidden.data, grad_gates.data, grad_ups.data, count);
    if (to.gate) gpu::multiply(products, gpu::transposed(grad_gates), gpu::rows(x), matrix<T>(*to.gate));
    if (to.up) gpu::multiply(products, gpu::transposed(grad_ups), gpu::rows(x), matrix<T>(*to.up));
    if (!to.x) return;
    gpu::multiply(products, gpu::rows(grad_gates), gpu::rows(gate), matrix<T>(*to.x));
    gpu::multiply(products, gpu::rows(grad_ups), gpu::rows(up), matrix<T>(*to.x), /*beta=*/1);
  }

  // What forward saved; null: it did not.
  template <class T>
  static const T* kept(const plugin::Arguments& arguments, int index) {
    return arguments.has(index) ? arguments.tensor(index).data<T>() : nullptr;
  }
};

}  // namespace graft
