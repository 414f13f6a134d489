// SiLU and SiluAndMul, elementwise, and their gradients.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/math.h"
#include "../common/rows.h"

namespace graft {

// Elements for one task: some microseconds of exp, well above what waking a thread costs.
inline constexpr int64_t kElementsPerTask = 8192;

inline int64_t activation_rows_per_task(int64_t width) {
  return std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, width));
}

struct SiLU {
  explicit SiLU(const plugin::Attributes&) {}

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = out.data<T>();
      call.parallel_for(x.numel(), kElementsPerTask, [&](int64_t begin, int64_t end, uint32_t) {
        simd::for_lanes(end - begin, [&](int64_t i, auto n) {
          simd::store(to + begin + i, simd::silu(simd::load(from + begin + i, n)), n);
        });
      });
    });
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs,
                uint64_t needs, plugin::Arguments grad_inputs) const {
    if (!needed(needs, 0)) return;
    with_dtype(arguments.tensor(0).dtype(), [&]<class T>(T) {
      const Rows<const T> x(arguments.tensor(0));
      const Rows<T> to(grad_inputs.tensor(0));
      const std::optional<Rows<const T>> grad = incoming<T>(grad_outputs, 0);
      if (!grad) return clear<T>(to);
      call.parallel_for(x.count(), activation_rows_per_task(x.width()), [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T *values = x[row], *from = (*grad)[row];
          T* target = to[row];
          simd::for_lanes(x.width(), [&](int64_t i, auto n) {
            simd::store(target + i,
                        simd::load(from + i, n) * simd::silu_derivative(simd::load(values + i, n)), n);
          });
        }
      });
    });
  }
};

struct SiluAndMul {
  explicit SiluAndMul(const plugin::Attributes&) {}

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      const Rows<T> rows(x);
      T* to = out.data<T>();
      const int64_t width = rows.width() / 2;
      call.parallel_for(rows.count(), activation_rows_per_task(width), [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T *gate = rows[row], *up = gate + width;
          simd::for_lanes(width, [&](int64_t i, auto n) {
            simd::store(to + row * width + i, simd::silu(simd::load(gate + i, n)) * simd::load(up + i, n), n);
          });
        }
      });
    });
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs,
                uint64_t needs, plugin::Arguments grad_inputs) const {
    if (!needed(needs, 0)) return;
    with_dtype(arguments.tensor(0).dtype(), [&]<class T>(T) {
      const Rows<const T> x(arguments.tensor(0));
      const Rows<T> to(grad_inputs.tensor(0));
      const std::optional<Rows<const T>> grad = incoming<T>(grad_outputs, 0);
      if (!grad) return clear<T>(to);
      const int64_t width = x.width() / 2;
      call.parallel_for(x.count(), activation_rows_per_task(width), [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T *gate = x[row], *up = gate + width, *from = (*grad)[row];
          T *grad_gate = to[row], *grad_up = grad_gate + width;
          simd::for_lanes(width, [&](int64_t i, auto n) {
            const auto g = simd::load(gate + i, n), d = simd::load(from + i, n);
            simd::store(grad_gate + i, d * simd::load(up + i, n) * simd::silu_derivative(g), n);
            simd::store(grad_up + i, d * simd::silu(g), n);
          });
        }
      });
    });
  }
};

}  // namespace graft
