// OnlineSoftmax: attention of some query rows over keys that arrive block by block, without ever holding a
// whole row of scores.
//
// For each row: `peak`, the greatest score so far; `total`, the sum of exp(score - peak); `sums`, the values
// weighted by exp(score - peak). A greater peak rescales what was summed before. Source: Milakov and
// Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135.
//
// Key and value blocks are floats (doubles for float64). The value of a hidden key counts with weight 0: it
// must be finite, as in torch.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "../common/gemm.h"
#include "../common/math.h"
#include "../common/reals.h"
#include "../common/tile_layout.h"

namespace graft {

inline constexpr int64_t kKeysPerBlock = 64;

template <class R>
class OnlineSoftmax {
 public:
  OnlineSoftmax(Workspace& workspace, int64_t max_rows, int64_t key_dim, int64_t value_dim)
      : width_(padded_columns(value_dim)),
        packed_keys_(workspace.take<R>(PackedColumns<R>::size(kKeysPerBlock, key_dim))),
        scores_(workspace.take<R>(size_t(tiles::whole_rows(max_rows) * kKeysPerBlock))),
        sums_(workspace.take<R>(size_t(tiles::whole_rows(max_rows) * width_))),
        peaks_(workspace.take<R>(size_t(max_rows))),
        totals_(workspace.take<R>(size_t(max_rows))) {}

  // Width of a row of `sums`: whole register tiles.
  int64_t width() const { return width_; }

  // Begins anew with `rows` rows.
  void reset(int64_t rows) {
    rows_ = rows;
    std::fill(sums_, sums_ + rows_ * width_, R{0});
    std::fill(peaks_, peaks_ + rows_, kNothingSeen);
    std::fill(totals_, totals_ + rows_, R{0});
  }

  // Takes in up to kKeysPerBlock keys, and their values in rows of width(). hide(row, scores) turns the
  // scores of what the row may not see into -inf.
  template <class Hide>
  void add(const Matrix<R>& queries, const Matrix<R>& keys, const Matrix<R>& values, R softcap,
           const Hide& hide) {
    const int64_t count = keys.rows;
    if (rows_ < kManyRows)
      score_few(queries, keys, values);
    else
      PackedColumns(packed_keys_, keys.data, keys.stride, count, keys.width)
          .multiply(queries, 0, rows_, scores_, kKeysPerBlock);
    weigh_scores(count, softcap, hide);
    tile_columns(rows_, width_, count, scores_, kKeysPerBlock, values.data, values.stride, kTileColumns,
                 sums_, width_, true);
  }

  // The same of `count` keys by whoever has score(rows, factor, scores), in rows of kKeysPerBlock, and
  // weigh(rows, scores, sums, width).
  template <class Products, class Hide>
  void add(const Products& products, int64_t count, R scale, R softcap, const Hide& hide) {
    products.score(rows_, scale, scores_);
    weigh_scores(count, softcap, hide);
    products.weigh(rows_, scores_, sums_, width_);
  }

  const R* sums(int64_t row) const { return sums_ + row * width_; }
  R peak(int64_t row) const { return peaks_[row]; }
  R total(int64_t row) const { return totals_[row]; }

  static constexpr R kNothingSeen = -std::numeric_limits<R>::infinity();

 private:
  // From here on, transposing the keys for register tiles pays.
  static constexpr int64_t kManyRows = 12;

  // All scores become weights.
  template <class Hide>
  void weigh_scores(int64_t count, R softcap, const Hide& hide) {
    const int64_t padded_count = (count + simd::kLanes - 1) / simd::kLanes * simd::kLanes;
    for (int64_t row = 0; row < rows_; ++row) {
      R* scores = scores_ + row * kKeysPerBlock;
      if (softcap > 0) cap(scores, padded_count, softcap);
      std::fill(scores + count, scores + padded_count, kNothingSeen);
      hide(row, scores);
      to_weights(row, scores, padded_count);
    }
  }

  // Few rows wait for memory: meanwhile the next block's keys are fetched, and this block's values.
  void score_few(const Matrix<R>& queries, const Matrix<R>& keys, const Matrix<R>& values) {
    const auto write = [&](int64_t row, int64_t key, R score) {
      scores_[row * kKeysPerBlock + key] = score;
      if (row > 0) return;
      for (int64_t i = 0; i < values.width; i += 16) __builtin_prefetch(values[key] + i);
    };
    few_rows_times(queries, keys.data, keys.stride, 0, keys.rows, write, kKeysPerBlock * keys.stride);
  }

  static void cap(R* scores, int64_t count, R softcap) {
    using namespace simd;
    for (int64_t i = 0; i < count; i += kLanes)
      store(scores + i, broadcast(softcap) * tanh(load(scores + i) * broadcast(1 / softcap)));
  }

  // scores become exp(score - peak).
  void to_weights(int64_t row, R* scores, int64_t count) {
    using namespace simd;
    VecOf<R> greatest = broadcast(peaks_[row]);
    for (int64_t i = 0; i < count; i += kLanes)
      greatest = max(load(scores + i), greatest);  // passes over NaN
    const R peak = max_lane(greatest);
    // While nothing is seen, -inf - -inf would be NaN; any finite reference gives weights of 0.
    const R reference = peak == kNothingSeen ? R{0} : peak;
    VecOf<R> total = broadcast(R{0});
    for (int64_t i = 0; i < count; i += kLanes) {
      const VecOf<R> weight = exp(load(scores + i) - broadcast(reference));
      store(scores + i, weight);
      total = total + weight;
    }
    if (peak != peaks_[row]) {
      const R before = std::exp(peaks_[row] - reference);
      totals_[row] *= before;
      for (int64_t i = 0; i < width_; i += kLanes) {
        R* sums = sums_ + row * width_ + i;
        store(sums, load(sums) * broadcast(before));
      }
      peaks_[row] = peak;
    }
    totals_[row] += sum(total);
  }

  int64_t rows_ = 0, width_;
  R *packed_keys_, *scores_, *sums_, *peaks_, *totals_;
};

}  // namespace graft
