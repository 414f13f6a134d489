// Gradients of RMSNorm, with or without the residual connection before it. With r = rstd and
// g = grad_out * weight:
//   grad_x = r g - x r^3 mean(g x) + grad_sum        grad_weight = sum over rows of grad_out x r
// grad_sum is what comes in through AddRMSNorm's second output.
#pragma once

#include <optional>

#include "../common/dtype.h"
#include "../common/reals.h"
#include "../common/rows.h"
#include "rms.h"

namespace graft {

// Rows are cut into up to 64 chunks, each with a sum of its own for grad_weight: cut by their number alone,
// so that the result does not depend on the threads.
struct RowChunks {
  int64_t rows, count, rows_each;
  explicit RowChunks(int64_t rows)
      : rows(rows),
        count(std::clamp<int64_t>((rows + 15) / 16, 1, 64)),
        rows_each((rows + count - 1) / count) {}
  int64_t begin(int64_t chunk) const { return std::min(rows, chunk * rows_each); }
};

template <class T>
struct NormGradients {
  std::optional<Rows<const T>> out = {}, sum = {};            // what comes in; absent: zero
  std::optional<Rows<T>> x = {}, residual = {}, weight = {};  // what is wanted
};

// Bytes that norm_backward needs.
inline size_t norm_backward_workspace(const plugin::Tensor& x) {
  Workspace workspace;
  const int64_t rows = x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
  with_dtype(x.dtype(),
             [&]<class T>(T) { workspace.take<simd::Real<T>>(size_t(RowChunks(rows).count * x.size(-1))); });
  return workspace.used();
}

// One row: grad_x if wanted, and its part of grad_weight added to `weights` unless null.
template <class T, class R = simd::Real<T>>
void norm_backward_row(int64_t width, const T* x, const T* weight, R rstd, const T* grad_out,
                       const T* grad_sum, T* grad_x, R* weights) {
  using namespace simd;
  if (grad_x != nullptr) {
    VecOf<R> total = broadcast(R{0});
    for_lanes(width, [&](int64_t i, auto n) {
      total = fma(load(grad_out + i, n) * load(weight + i, n), load(x + i, n), total);
    });
    const VecOf<R> r = broadcast(rstd), pull = broadcast(-rstd * rstd * rstd * sum(total) / R(width));
    for_lanes(width, [&](int64_t i, auto n) {
      VecOf<R> value = fma(load(x + i, n), pull, load(grad_out + i, n) * load(weight + i, n) * r);
      if (grad_sum != nullptr) value = value + load(grad_sum + i, n);
      store(grad_x + i, value, n);
    });
  }
  if (weights == nullptr) return;
  for_lanes(width, [&](int64_t i, auto n) {
    store(weights + i, fma(load(grad_out + i, n), load(x + i, n) * broadcast(rstd), load(weights + i, n)), n);
  });
}

inline const float* saved_rstd(const std::optional<plugin::Tensor>& rstd) {
  return rstd ? rstd->data<float>() : nullptr;
}

// `rstd` is what forward saved, or null; in double it is not looked at, since a float says too little.
template <class T>
void norm_backward(const plugin::Call& call, const Rows<const T>& x, const T* weight, const float* rstd,
                   double eps, const NormGradients<T>& grad) {
  using namespace simd;
  using R = Real<T>;
  const int64_t width = x.width();
  const RowChunks chunks(x.count());
  R* sums = call.workspace<R>();
  const int64_t rows_per_chunk = std::max<int64_t>(1, chunks.rows_each);
  call.parallel_for(chunks.count, std::max<int64_t>(1, rows_per_task(width) / rows_per_chunk),
                    [&](int64_t begin, int64_t end, uint32_t) {
                      for (int64_t chunk = begin; chunk < end; ++chunk) {
                        R* weights = grad.weight ? sums + chunk * width : nullptr;
                        if (weights != nullptr) std::fill(weights, weights + width, R{0});
                        for (int64_t row = chunks.begin(chunk); row < chunks.begin(chunk + 1); ++row) {
                          const T* sum = grad.sum ? (*grad.sum)[row] : nullptr;
                          T* to = grad.x ? (*grad.x)[row] : grad.residual ? (*grad.residual)[row] : nullptr;
                          if (grad.out) {
                            const bool saved = rstd != nullptr && !std::is_same_v<T, double>;
                            const R r = saved ? R(rstd[row]) : row_rstd(x[row], width, eps);
                            norm_backward_row(width, x[row], weight, r, (*grad.out)[row], sum, to, weights);
                          } else if (to != nullptr) {
                            if (sum != nullptr)
                              std::copy(sum, sum + width, to);
                            else
                              std::fill(to, to + width, T{});
                          }
                          if (grad.x && grad.residual) std::copy(to, to + width, (*grad.residual)[row]);
                        }
                      }
                    });
  if (!grad.weight) return;
  T* to = (*grad.weight)[0];
  call.parallel_for(width, 1024, [&](int64_t begin, int64_t end, uint32_t) {
    for_lanes(end - begin, [&](int64_t i, auto n) {
      VecOf<R> total = broadcast(R{0});
      for (int64_t chunk = 0; chunk < chunks.count; ++chunk)
        total = total + load(sums + chunk * width + begin + i, n);
      store(to + begin + i, total, n);
    });
  });
}

}  // namespace graft
