// Log-sum-exp of the logits hidden @ weight^T by row, and the logit of each row's label. A block of logits
// exists only while it is added up: for each row `peak`, the greatest logit so far, and `total`, the sum of
// exp(logit - peak). The vocabulary is split among tasks, and a row's splits are put together in the end.
// Source: Milakov and Gimelshein 2018, arXiv:1805.02867.
#pragma once

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>
#include <limits>

#include "../common/math.h"
#include "../common/matmul.h"
#include "../common/reals.h"
#include "labels.h"

namespace graft {

template <class R>
struct RunningSum {
  R peak = -std::numeric_limits<R>::infinity(), total = 0;

  // Takes in `count` logits, a multiple of kLanes.
  void add(const R* logits, int64_t count) {
    using namespace simd;
    VecOf<R> greatest = broadcast(peak);
    for (int64_t i = 0; i < count; i += kLanes)
      greatest = max(load(logits + i), greatest);  // passes over NaN
    rescale(max_lane(greatest));
    VecOf<R> sums = broadcast(R{0});
    for (int64_t i = 0; i < count; i += kLanes) sums = sums + exp(load(logits + i) - broadcast(reference()));
    total += sum(sums);
  }
  void add(const RunningSum& other) {
    rescale(std::max(peak, other.peak));
    total += other.total * (other.peak == peak ? R{1} : std::exp(other.peak - reference()));
  }
  R log_sum_exp() const { return reference() + std::log(total); }

 private:
  // While all logits are -inf, -inf - -inf would be NaN; with any finite reference their exp is 0.
  R reference() const { return peak == -std::numeric_limits<R>::infinity() ? R{0} : peak; }
  void rescale(R greater) {
    if (greater == peak) return;
    const R before = peak;
    peak = greater;
    total *= std::exp(before - reference());
  }
};

template <class T>
class LogSumExp {
  using R = simd::Real<T>;

 public:
  LogSumExp(Workspace& workspace, int64_t rows, int64_t vocabulary, uint32_t threads)
      : rows_(rows),
        vocabulary_(vocabulary),
        splits_(std::clamp<int64_t>(vocabulary / kSplitColumns, 1, kMaxSplits)),
        lse_(workspace.take<R>(size_t(rows))),
        label_logits_(workspace.take<R>(size_t(rows))),
        parts_(workspace.take<RunningSum<R>>(size_t(splits_ * rows))),
        scratch_(workspace.take<R>(threads * Blocks::kSize)) {}

  void run(const plugin::Call& call, const Rows<const T>& hidden, const Rows<const T>& weight,
           const Labels& labels) const {
    const Product<T, T> product{{hidden}, transposed(weight)};
    const int64_t row_blocks = (rows_ + Blocks::kRows - 1) / Blocks::kRows;
    call.parallel_for(row_blocks * splits_, 1, [&](int64_t begin, int64_t end, uint32_t worker) {
      Blocks block(scratch_ + worker * Blocks::kSize);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t row = task % row_blocks * Blocks::kRows;
        add_split(product, labels, task / row_blocks, row, std::min(Blocks::kRows, rows_ - row), block);
      }
    });
    call.parallel_for(rows_, 1024, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t row = begin; row < end; ++row) {
        RunningSum<R> all = parts_[row];
        for (int64_t split = 1; split < splits_; ++split) all.add(parts_[split * rows_ + row]);
        lse_[row] = all.log_sum_exp();
      }
    });
  }

  R* lse() const { return lse_; }
  R* scratch() const { return scratch_; }  // for others' use afterwards
  // Only of rows that count.
  R label_logit(int64_t row) const { return label_logits_[row]; }

 private:
  using Blocks = BlockMultiplier<R>;
  static constexpr int64_t kSplitColumns = 1024, kMaxSplits = 16;

  void add_split(const Product<T, T>& product, const Labels& labels, int64_t split, int64_t row, int64_t rows,
                 Blocks& block) const {
    RunningSum<R>* sums = parts_ + split * rows_ + row;
    std::fill(sums, sums + rows, RunningSum<R>{});
    // Splits are whole blocks of columns, as even as that allows.
    const int64_t blocks = (vocabulary_ + Blocks::kColumns - 1) / Blocks::kColumns;
    const int64_t last = std::min(vocabulary_, blocks * (split + 1) / splits_ * Blocks::kColumns);
    for (int64_t column = blocks * split / splits_ * Blocks::kColumns; column < last;
         column += Blocks::kColumns) {
      const int64_t count = std::min(Blocks::kColumns, last - column);
      block.multiply(std::span<const Product<T, T>>(&product, 1), row, rows, column, count);
      for (int64_t r = 0; r < rows; ++r) {
        R* logits = block[r];
        const int64_t label = labels[row + r] - column;
        if (labels.counts(row + r) && label >= 0 && label < count) label_logits_[row + r] = logits[label];
        const int64_t padded = padded_columns(count);
        std::fill(logits + count, logits + padded, -std::numeric_limits<R>::infinity());
        sums[r].add(logits, padded);
      }
    }
  }

  int64_t rows_, vocabulary_, splits_;
  R *lse_, *label_logits_;
  RunningSum<R>* parts_;
  R* scratch_;
};

}  // namespace graft
