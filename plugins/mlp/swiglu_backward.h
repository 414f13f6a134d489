// Gradients of SwiGLUMLP. With g = x @ gate^T, u = x @ up^T, h = silu(g) * u, all [rows x I]:
//   dh = grad_out @ down           du = dh silu(g)           dg = dh u silu'(g)
//   grad_x = dg @ gate + du @ up   grad_gate = dg^T @ x      grad_up = du^T @ x
//   grad_down = grad_out^T @ h
// g and u are what forward saved, else computed anew. dg, du and h lie in the workspace, rounded to the dtype,
// as torch's are.
#pragma once

#include <graft/plugin.hpp>
#include <optional>

#include "../common/math.h"
#include "../common/matmul.h"
#include "../common/reals.h"

namespace graft {

template <class T>
struct SwiGLUSaved {
  Rows<const T> x, gate, up, down;
  std::optional<Rows<const T>> gate_out, up_out;  // both or none
};

template <class T>
struct SwiGLUGradients {
  std::optional<Rows<T>> x, gate, up, down;  // those that are wanted
};

template <class T>
class SwiGLUBackward {
  using R = simd::Real<T>;

 public:
  SwiGLUBackward(Workspace& workspace, int64_t rows, int64_t intermediate, uint32_t threads)
      : rows_(rows),
        intermediate_(intermediate),
        gates_(workspace.take<T>(size_t(rows * intermediate))),
        ups_(workspace.take<T>(size_t(rows * intermediate))),
        hidden_(workspace.take<T>(size_t(rows * intermediate))),
        scratch_(workspace.take<R>(threads * BlockMultiplier<R>::kSize)) {}

  void run(const plugin::Call& call, const SwiGLUSaved<T>& saved, const Rows<const T>& grad_out,
           const SwiGLUGradients<T>& grad) const {
    if (!saved.gate_out) {
      multiply(call, scratch_, Product<T, T>{{saved.x}, transposed(saved.gate)}, into(between(gates_)));
      multiply(call, scratch_, Product<T, T>{{saved.x}, transposed(saved.up)}, into(between(ups_)));
    }
    multiply(call, scratch_, Product<T, T>{{grad_out}, {saved.down}},
             [&](int64_t row, int64_t column, int64_t count, const R* grad_hidden) {
               const int64_t at = row * intermediate_ + column;
               if (saved.gate_out)
                 split(grad_hidden, (*saved.gate_out)[row] + column, (*saved.up_out)[row] + column, at,
                       count);
               else
                 split(grad_hidden, gates_ + at, ups_ + at, at, count);
             });
    const Rows<const T> grad_gates = reading(gates_), grad_ups = reading(ups_), hidden = reading(hidden_);
    if (grad.x) {
      const Product<T, T> sum[] = {{{grad_gates}, {saved.gate}}, {{grad_ups}, {saved.up}}};
      multiply(call, scratch_, std::span<const Product<T, T>>(sum), into(*grad.x));
    }
    if (grad.gate)
      multiply(call, scratch_, Product<T, T>{transposed(grad_gates), {saved.x}}, into(*grad.gate));
    if (grad.up) multiply(call, scratch_, Product<T, T>{transposed(grad_ups), {saved.x}}, into(*grad.up));
    if (grad.down) multiply(call, scratch_, Product<T, T>{transposed(grad_out), {hidden}}, into(*grad.down));
  }

 private:
  // For elements [at, at + count): what gates and ups hold gives way to their gradients, and hidden is
  // computed.
  void split(const R* grad_hidden, const T* gates, const T* ups, int64_t at, int64_t count) const {
    using namespace simd;
    for_lanes(count, [&](int64_t i, auto n) {
      const VecOf<R> g = load(gates + i, n), u = load(ups + i, n), d = load(grad_hidden + i, n), s = silu(g);
      store(gates_ + at + i, d * u * silu_derivative(g), n);
      store(ups_ + at + i, d * s, n);
      store(hidden_ + at + i, s * u, n);
    });
  }

  Rows<T> between(T* memory) const { return Rows<T>(memory, rows_, intermediate_, intermediate_); }
  Rows<const T> reading(const T* memory) const {
    return Rows<const T>(memory, rows_, intermediate_, intermediate_);
  }

  int64_t rows_, intermediate_;
  T *gates_, *ups_, *hidden_;
  R* scratch_;
};

}  // namespace graft
