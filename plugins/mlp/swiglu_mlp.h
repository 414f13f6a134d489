// SwiGLUMLP: out = (silu(x @ gate^T) * (x @ up^T)) @ down^T. What lies between is float, in the workspace.
// Few rows stream each weight once (common/products.h), many rows are multiplied in packed blocks
// (common/many_rows.h), of both factors where they are bfloat16 and the processor multiplies that
// (common/matmul.h).
// Gradients are in swiglu_backward.h.
#pragma once

#include <algorithm>
#include <array>
#include <graft/plugin.hpp>
#include <optional>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/many_rows.h"
#include "../common/math.h"
#include "../common/matmul.h"
#include "../common/plain_weight.h"
#include "../common/reals.h"
#include "swiglu_backward.h"

namespace graft {

class SwiGLUMLP {
 public:
  explicit SwiGLUMLP(const plugin::Attributes&) {}

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX);
    Workspace workspace;
    with_dtype(x.dtype(),
               [&]<class T>(T) { Memory<T>(workspace, x, arguments.tensor(kGate).size(0), threads); });
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor gate, plugin::Tensor up,
               plugin::Tensor down, plugin::Tensor out, std::optional<plugin::Tensor> gate_out,
               std::optional<plugin::Tensor> up_out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Memory<T> memory(workspace, x, gate.size(0), call.thread_count());
      const Layer<T> layer{Rows<const T>(gate), Rows<const T>(up),          Rows<const T>(down),
                           Rows<T>(out),        optional_rows<T>(gate_out), optional_rows<T>(up_out)};
      const bool few = row_count(x) <= kFewRows;
      if constexpr (std::is_same_v<T, simd::bf16>) {
        if (tiles::available() && !few) return multiply_tiles(call, Rows<const T>(x), layer, memory);
      }
      const Matrix<simd::Real<T>> rows = as_reals<T>(call, x, memory.reals);
      if (few)
        stream(call, rows, layer, memory);
      else
        multiply(call, rows, layer, memory);
    });
  }

  size_t backward_workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX), gate = arguments.tensor(kGate);
    Workspace workspace;
    with_dtype(x.dtype(),
               [&]<class T>(T) { SwiGLUBackward<T>(workspace, row_count(x), gate.size(0), threads); });
    return workspace.used();
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs,
                uint64_t needs, plugin::Arguments grad_inputs) const {
    const plugin::Tensor x = arguments.tensor(kX), gate = arguments.tensor(kGate);
    with_dtype(x.dtype(), [&]<class T>(T) {
      const auto grad = [&](int input) { return wanted<T>(grad_inputs, needs, input); };
      const SwiGLUGradients<T> to{grad(kX), grad(kGate), grad(kUp), grad(kDown)};
      const auto grad_out = incoming<T>(grad_outputs, 0);
      if (!grad_out) return clear(to.x), clear(to.gate), clear(to.up), clear(to.down);
      std::optional<Rows<const T>> gate_out, up_out;
      if (arguments.has(kGateOut) && arguments.has(kUpOut))
        gate_out.emplace(arguments.tensor(kGateOut)), up_out.emplace(arguments.tensor(kUpOut));
      Workspace workspace(call.workspace<void>());
      SwiGLUBackward<T>(workspace, row_count(x), gate.size(0), call.thread_count())
          .run(call,
               {Rows<const T>(x), Rows<const T>(gate), Rows<const T>(arguments.tensor(kUp)),
                Rows<const T>(arguments.tensor(kDown)), gate_out, up_out},
               *grad_out, to);
    });
  }

 private:
  enum { kX, kGate, kUp, kDown, kOut, kGateOut, kUpOut };

  template <class T>
  struct Layer {
    Rows<const T> gate, up, down;
    Rows<T> out;
    std::optional<Rows<T>> gate_out, up_out;  // none: not wanted
  };

  template <class T, class R = simd::Real<T>>
  struct Memory {
    R *reals, *hidden;
    R* ups;      // of few rows
    R* scratch;  // of each thread, for any of the products

    Memory(Workspace& workspace, const plugin::Tensor& x, int64_t inner, uint32_t threads) {
      reals = workspace.take<R>(reals_needed(x));
      hidden = workspace.take<R>(size_t(row_count(x) * inner));
      ups = workspace.take<R>(size_t(kFewRows * inner));
      scratch = workspace.take<R>(threads * std::max({2 * many_rows_scratch(x.size(-1)),
                                                      many_rows_scratch(inner), BlockMultiplier<R>::kSize}));
    }
  };

  template <class T>
  static std::optional<Rows<T>> optional_rows(const std::optional<plugin::Tensor>& tensor) {
    return tensor ? std::optional<Rows<T>>(Rows<T>(*tensor)) : std::nullopt;
  }

  // hidden = silu(gate) * up for one stretch of a row, keeping what backward asked for.
  template <class T, class G, class R, class H>
  static void combine(const G* gates, const R* ups, H* hidden, const Layer<T>& layer, int64_t row,
                      int64_t column, int64_t count) {
    using namespace simd;
    T* gate_out = layer.gate_out ? (*layer.gate_out)[row] + column : nullptr;
    T* up_out = layer.up_out ? (*layer.up_out)[row] + column : nullptr;
    for_lanes(count, [&](int64_t i, auto n) {
      const VecOf<R> g = load(gates + i, n), u = load(ups + i, n);
      if (gate_out != nullptr) store(gate_out + i, g, n);
      if (up_out != nullptr) store(up_out + i, u, n);
      store(hidden + i, silu(g) * u, n);
    });
  }

  template <class T, class R>
  static void stream(const plugin::Call& call, const Matrix<R>& x, const Layer<T>& layer,
                     const Memory<T>& memory) {
    const int64_t width = x.width, inner = layer.gate.count();
    R *hidden = memory.hidden, *ups = memory.ups;
    stream_columns(call, inner, 2 * width, [&](int64_t begin, int64_t end) {
      few_rows_times(x, layer.gate[0], width, begin, end,
                     [&](int64_t row, int64_t column, R value) { hidden[row * inner + column] = value; });
      few_rows_times(x, layer.up[0], width, begin, end,
                     [&](int64_t row, int64_t column, R value) { ups[row * inner + column] = value; });
      for (int64_t row = 0; row < x.rows; ++row) {
        R* gates = hidden + row * inner + begin;
        combine(gates, ups + row * inner + begin, gates, layer, row, begin, end - begin);
      }
    });
    const Matrix<R> between{hidden, x.rows, inner, inner};
    stream_columns(call, layer.down.count(), inner, [&](int64_t begin, int64_t end) {
      few_rows_times(between, layer.down[0], inner, begin, end, [&](int64_t row, int64_t column, R value) {
        simd::from_real(value, layer.out[row] + column);
      });
    });
  }

  template <class T, class R>
  static void multiply(const plugin::Call& call, const Matrix<R>& x, const Layer<T>& layer,
                       const Memory<T>& memory) {
    const int64_t inner = layer.gate.count();
    const PlainWeight<T> gate(layer.gate), up(layer.up);
    many_rows_times(call, ManyRows<R, 0, false>(call, x, nullptr), std::array{&gate, &up}, memory.scratch,
                    [&](int64_t row, int64_t column, int64_t count, const R* gates, const R* ups) {
                      combine(gates, ups, memory.hidden + row * inner + column, layer, row, column, count);
                    });
    const Matrix<R> between{memory.hidden, x.rows, inner, inner};
    many_rows_times(call, ManyRows<R, 0, false>(call, between, nullptr), PlainWeight<T>(layer.down),
                    memory.scratch, into(layer.out));
  }

  // On tiles, where what lies between is bfloat16, as between torch's layers.
  static void multiply_tiles(const plugin::Call& call, const Rows<const simd::bf16>& x,
                             const Layer<simd::bf16>& layer, const Memory<simd::bf16>& memory) {
    using T = simd::bf16;
    const int64_t rows = x.count(), inner = layer.gate.count();
    // Two of bfloat16 are as large as one of float.
    T* between = reinterpret_cast<T*>(memory.hidden);
    const Rows<T> hidden(between, rows, inner, inner);
    const Rows<T> gates =
        layer.gate_out ? *layer.gate_out : Rows<T>(between + rows * inner, rows, inner, inner);
    graft::multiply(call, memory.scratch, Product<T, T>{{x}, transposed(layer.gate)}, into(gates));
    graft::multiply(call, memory.scratch, Product<T, T>{{x}, transposed(layer.up)},
                    [&](int64_t row, int64_t column, int64_t count, const float* ups) {
                      combine(gates[row] + column, ups, hidden[row] + column, layer, row, column, count);
                    });
    const Rows<const T> made(between, rows, inner, inner);
    graft::multiply(call, memory.scratch, Product<T, T>{{made}, transposed(layer.down)}, into(layer.out));
  }
};

}  // namespace graft
