// SiLU and SiluAndMul, elementwise.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/math.h"
#include "../common/rows.h"

namespace graft {

// Elements for one task: some microseconds of exp, well above what waking a thread costs.
inline constexpr int64_t kElementsPerTask = 8192;

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
};

struct SiluAndMul {
  explicit SiluAndMul(const plugin::Attributes&) {}

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      const Rows<T> rows(x);
      T* to = out.data<T>();
      const int64_t width = rows.width() / 2;
      const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, width));
      call.parallel_for(rows.count(), grain, [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T *gate = rows[row], *up = gate + width;
          simd::for_lanes(width, [&](int64_t i, auto n) {
            simd::store(to + row * width + i, simd::silu(simd::load(gate + i, n)) * simd::load(up + i, n), n);
          });
        }
      });
    });
  }
};

}  // namespace graft
