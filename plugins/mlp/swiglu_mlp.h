// SwiGLUMLP: out = (silu(x @ gate^T) * (x @ up^T)) @ down^T. What lies between is float, in the workspace.
// Few rows stream each weight once, many rows are multiplied in packed blocks, see common/products.h and
// common/gemm.h. Gradients are in swiglu_backward.h.
#pragma once

#include <graft/plugin.hpp>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/gemm.h"
#include "../common/gradients.h"
#include "../common/math.h"
#include "../common/reals.h"
#include "swiglu_backward.h"

namespace graft {

class SwiGLUMLP {
 public:
  explicit SwiGLUMLP(const plugin::Attributes&) {}

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(0), gate = arguments.tensor(1);
    const size_t intermediate = size_t(gate.size(0));
    const size_t rows = size_t(row_count(x));
    Workspace workspace;
    with_dtype(
        x.dtype(), [&]<class T, class R = simd::Real<T>>(T) {
          workspace.take<R>(reals_needed(x));
          workspace.take<R>(rows * intermediate);
          workspace.take<R>(kFewRows * intermediate);
          workspace.take<R>(threads * std::max(scratch_size<R>(std::max(gate.size(0), gate.size(1))),
                                               BlockMultiplier<R>::kSize));
        });
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor gate, plugin::Tensor up,
               plugin::Tensor down, plugin::Tensor out, std::optional<plugin::Tensor> gate_out,
               std::optional<plugin::Tensor> up_out) const {
    with_dtype(
        x.dtype(), [&]<class T, class R = simd::Real<T>>(T) {
          Workspace workspace(call.workspace<void>());
          const int64_t intermediate = gate.size(0);
          if constexpr (std::is_same_v<T, simd::bf16>) {
            if (amx::available() && row_count(x) > kFewRows)
              return multiply_tiles(call, Rows<const T>(x), Rows<const T>(gate), Rows<const T>(up),
                                    Rows<const T>(down), Rows<T>(out), optional_rows<T>(gate_out),
                                    optional_rows<T>(up_out), workspace);
          }
          const Matrix<R> rows = as_reals<T>(call, x, workspace.take<R>(reals_needed(x)));
          R* hidden = workspace.take<R>(size_t(rows.rows * intermediate));
          const Matrix<R> between{hidden, rows.rows, intermediate, intermediate};
          const Layer<T> layer{gate.data<T>(),
                               up.data<T>(),
                               down.data<T>(),
                               out.data<T>(),
                               gate_out ? gate_out->data<T>() : nullptr,
                               up_out ? up_out->data<T>() : nullptr};
          if (rows.rows <= kFewRows)
            stream(call, rows, layer, between, hidden, workspace.take<R>(size_t(rows.rows * intermediate)));
          else
            multiply(call, rows, layer, between, hidden, workspace);
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
  static constexpr int64_t kFewRows = 16;

  template <class T>
  struct Layer {
    const T *gate, *up, *down;
    T* out;
    T *gate_out, *up_out;  // null: not wanted
  };

  template <class T>
  static std::optional<Rows<T>> optional_rows(const std::optional<plugin::Tensor>& tensor) {
    return tensor ? std::optional<Rows<T>>(Rows<T>(*tensor)) : std::nullopt;
  }
  // For one thread: a packed block each of gate and up (or of down), and their products.
  template <class R>
  static size_t scratch_size(int64_t depth) {
    return 2 * (PackedColumns<R>::size(kBlockColumns, depth) + size_t(kBlockRows * kBlockColumns));
  }

  // hidden = silu(gate) * up for one stretch of a row, keeping what backward asked for.
  template <class T, class G, class R, class H>
  static void combine(const G* gate, const R* up, H* hidden, T* gate_out, T* up_out, int64_t count) {
    using namespace simd;
    for_lanes(count, [&](int64_t i, auto n) {
      const VecOf<R> g = load(gate + i, n), u = load(up + i, n);
      if (gate_out != nullptr) store(gate_out + i, g, n);
      if (up_out != nullptr) store(up_out + i, u, n);
      store(hidden + i, silu(g) * u, n);
    });
  }

  template <class T, class R>
  static void stream(const plugin::Call& call, const Matrix<R>& x, const Layer<T>& layer,
                     const Matrix<R>& between, R* hidden, R* ups) {
    const int64_t width = x.width, intermediate = between.width;
    stream_columns(call, intermediate, 2 * width, [&](int64_t begin, int64_t end) {
      few_rows_times(x, layer.gate, width, begin, end, [&](int64_t row, int64_t column, R value) {
        hidden[row * intermediate + column] = value;
      });
      few_rows_times(x, layer.up, width, begin, end,
                     [&](int64_t row, int64_t column, R value) { ups[row * intermediate + column] = value; });
      for (int64_t row = 0; row < x.rows; ++row) {
        const int64_t at = row * intermediate + begin;
        combine(hidden + at, ups + at, hidden + at, layer.gate_out != nullptr ? layer.gate_out + at : nullptr,
                layer.up_out != nullptr ? layer.up_out + at : nullptr, end - begin);
      }
    });
    stream_columns(call, width, intermediate, [&](int64_t begin, int64_t end) {
      few_rows_times(between, layer.down, intermediate, begin, end,
                     [&](int64_t row, int64_t column, R value) {
                       simd::from_real(value, layer.out + row * width + column);
                     });
    });
  }

  // With AMX the products are the least of it: what lies between is bfloat16 then, as between torch's layers.
  static void multiply_tiles(const plugin::Call& call, const Rows<const simd::bf16>& x,
                             const Rows<const simd::bf16>& gate, const Rows<const simd::bf16>& up,
                             const Rows<const simd::bf16>& down, const Rows<simd::bf16>& out,
                             const std::optional<Rows<simd::bf16>>& gate_out,
                             const std::optional<Rows<simd::bf16>>& up_out, Workspace& workspace) {
    const int64_t rows = x.count(), intermediate = gate.count();
    const auto between = [&] {
      return Rows<simd::bf16>(workspace.take<simd::bf16>(size_t(rows * intermediate)), rows, intermediate,
                              intermediate);
    };
    const Rows<simd::bf16> hidden = between(), gates = gate_out ? *gate_out : between();
    float* scratch = workspace.take<float>(call.thread_count() * BlockMultiplier<float>::kSize);
    graft::multiply(call, scratch, Product<simd::bf16, simd::bf16>{{x}, transposed(gate)}, into(gates));
    graft::multiply(call, scratch, Product<simd::bf16, simd::bf16>{{x}, transposed(up)},
                    [&](int64_t row, int64_t column, int64_t count, const float* ups) {
                      combine(gates[row] + column, ups, hidden[row] + column,
                              static_cast<simd::bf16*>(nullptr),
                              up_out ? (*up_out)[row] + column : nullptr, count);
                    });
    const Rows<const simd::bf16> made(hidden[0], rows, intermediate, intermediate);
    graft::multiply(call, scratch, Product<simd::bf16, simd::bf16>{{made}, transposed(down)}, into(out));
  }

  template <class T, class R>
  static void multiply(const plugin::Call& call, const Matrix<R>& x, const Layer<T>& layer,
                       const Matrix<R>& between, R* hidden, Workspace& workspace) {
    const int64_t width = x.width, intermediate = between.width;
    const int64_t depth = std::max(width, intermediate);
    const size_t packed_size = PackedColumns<R>::size(kBlockColumns, depth);
    const size_t scratch_each = scratch_size<R>(depth);
    R* scratch = workspace.take<R>(scratch_each * call.thread_count());

    for_blocks(call, x.rows, intermediate, [&](const Block& block) {
      R* memory = scratch + block.worker * scratch_each;
      R* gates = memory + 2 * packed_size;
      R* ups = gates + kBlockRows * kBlockColumns;
      const PackedColumns gate(memory, layer.gate + block.column * width, width, block.columns, width);
      const PackedColumns up(memory + packed_size, layer.up + block.column * width, width, block.columns,
                             width);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        gate.multiply(x, row, rows, gates, gate.width());
        up.multiply(x, row, rows, ups, up.width());
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t at = (row + r) * intermediate + block.column;
          combine(gates + r * gate.width(), ups + r * up.width(), hidden + at,
                  layer.gate_out != nullptr ? layer.gate_out + at : nullptr,
                  layer.up_out != nullptr ? layer.up_out + at : nullptr, block.columns);
        }
      });
    });
    for_blocks(call, x.rows, width, [&](const Block& block) {
      R* memory = scratch + block.worker * scratch_each;
      R* products = memory + 2 * packed_size;
      const PackedColumns down(memory, layer.down + block.column * intermediate, intermediate, block.columns,
                               intermediate);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        down.multiply(between, row, rows, products, down.width());
        for (int64_t r = 0; r < rows; ++r) {
          const R* from = products + r * down.width();
          T* to = layer.out + (row + r) * width + block.column;
          simd::for_lanes(block.columns,
                          [&](int64_t i, auto n) { store(to + i, simd::load(from + i, n), n); });
        }
      });
    });
  }
};

}  // namespace graft
