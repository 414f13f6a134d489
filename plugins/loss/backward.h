// Gradients of ForCausalLMLoss. The gradient of a row's logits is (softmax - one at its label) * grad_loss /
// rows that count, and 0 if the row is ignored. It is computed anew from the log-sum-exp, a chunk of rows and
// vocabulary at a time, and multiplied into both gradients, which gather in float (double for float64) in the
// workspace. The gradient of the logits itself is rounded to the dtype, as torch's is:
//   grad_hidden = grad_logits @ weight        grad_weight = grad_logits^T @ hidden
#pragma once

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>
#include <optional>

#include "../common/math.h"
#include "../common/matmul.h"
#include "../common/reals.h"
#include "labels.h"

namespace graft {

template <class T>
class LossBackward {
  using R = simd::Real<T>;

 public:
  LossBackward(Workspace& workspace, int64_t rows, int64_t vocabulary, int64_t width)
      : rows_(rows),
        vocabulary_(vocabulary),
        width_(width),
        chunk_rows_(std::min(rows, kChunkRows)),
        chunk_columns_(std::min(vocabulary, kChunkColumns)),
        grad_logits_(workspace.take<T>(size_t(chunk_rows_ * chunk_columns_))),
        grad_hidden_(workspace.take<R>(size_t(rows * width))),
        grad_weight_(workspace.take<R>(size_t(chunk_columns_ * width))) {}

  // `scratch`: BlockMultiplier<R>::kSize for each thread. `grad`: of each row's loss.
  template <class L>
  void run(const plugin::Call& call, const Rows<const T>& hidden, const Rows<const T>& weight,
           const Labels& labels, const L* lse, R grad, const std::optional<Rows<T>>& to_hidden,
           const std::optional<Rows<T>>& to_weight, R* scratch) const {
    if (to_hidden) std::fill(grad_hidden_, grad_hidden_ + rows_ * width_, R{0});
    for (int64_t column = 0; column < vocabulary_; column += chunk_columns_) {
      const int64_t columns = std::min(chunk_columns_, vocabulary_ - column);
      const Rows<const T> some_weight = weight.part(column, columns);
      if (to_weight) std::fill(grad_weight_, grad_weight_ + columns * width_, R{0});
      for (int64_t row = 0; row < rows_; row += chunk_rows_) {
        const int64_t rows = std::min(chunk_rows_, rows_ - row);
        if (!labels.any_counts(row, rows)) continue;
        const Rows<const T> some_hidden = hidden.part(row, rows);
        multiply(call, scratch, Product<T, T>{{some_hidden}, transposed(some_weight)},
                 [&](int64_t r, int64_t c, int64_t count, const R* logits) {
                   T* to = grad_logits_ + r * columns + c;
                   if (labels.counts(row + r))
                     differentiate(logits, count, R(lse[row + r]), grad, labels[row + r] - column - c, to);
                   else
                     std::fill(to, to + count, T{});
                 });
        const Rows<const T> grad_logits(grad_logits_, rows, columns, columns);
        if (to_hidden)
          multiply(call, scratch, Product<T, T>{{grad_logits}, {some_weight}},
                   adding_to(grad_hidden_ + row * width_));
        if (to_weight)
          multiply(call, scratch, Product<T, T>{transposed(grad_logits), {some_hidden}},
                   adding_to(grad_weight_));
      }
      if (to_weight) write(call, grad_weight_, to_weight->part(column, columns));
    }
    if (to_hidden) write(call, grad_hidden_, *to_hidden);
  }

 private:
  // A chunk of gradients of logits is 8 MiB in float32, whatever the vocabulary and the number of rows.
  static constexpr int64_t kChunkRows = 1024, kChunkColumns = 2048;

  // The label's own is not rounded before the difference: p is close to 1 where the model has learned.
  static void differentiate(const R* logits, int64_t count, R lse, R grad, int64_t label, T* to) {
    using namespace simd;
    for_lanes(count, [&](int64_t i, auto n) {
      store(to + i, exp(load(logits + i, n) - broadcast(lse)) * broadcast(grad), n);
    });
    if (label >= 0 && label < count) from_real((std::exp(logits[label] - lse) - R{1}) * grad, to + label);
  }

  auto adding_to(R* sums) const {
    return [sums, width = width_](int64_t row, int64_t column, int64_t count, const R* values) {
      R* to = sums + row * width + column;
      simd::for_lanes(count, [&](int64_t i, auto n) {
        simd::store(to + i, simd::load(to + i, n) + simd::load(values + i, n), n);
      });
    };
  }

  void write(const plugin::Call& call, const R* from, const Rows<T>& to) const {
    const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width_));
    const auto round = into(to);
    call.parallel_for(to.count(), grain, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t row = begin; row < end; ++row) round(row, 0, width_, from + row * width_);
    });
  }

  int64_t rows_, vocabulary_, width_, chunk_rows_, chunk_columns_;
  T* grad_logits_;
  R *grad_hidden_, *grad_weight_;
};

}  // namespace graft
