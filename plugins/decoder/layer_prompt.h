// LayerPrompt: a decoder layer for many new tokens, which wait for arithmetic: step by step over all of them.
// What lies between is float (double for float64), in the workspace; queries and the cache are of x's dtype.
#pragma once

#include <graft/plugin.hpp>

#include "../attention/forward.h"
#include "../common/many_rows.h"
#include "../common/math.h"
#include "../common/reals.h"
#include "layer.h"
#include "weights.h"

namespace graft {

template <class T, class Weight>
class LayerPrompt {
  using R = simd::Real<T>;
  using ManyRows = RowsFor<T, Weight>;

 public:
  LayerPrompt(Workspace& workspace, const LayerSizes& sizes, uint32_t threads)
      : sizes_(sizes),
        deepest_(std::max({sizes.hidden, sizes.attended(), sizes.inner})),
        scratch_each_(std::max(2 * many_rows_scratch(sizes.hidden), many_rows_scratch(deepest_))),
        inputs_(workspace.take<R>(size_t(sizes.rows() * std::max(sizes.hidden, sizes.attended())))),
        projected_(workspace.take<R>(size_t(sizes.rows() * sizes.projected()))),
        sums_(workspace.take<R>(size_t(sizes.rows() * sizes.hidden))),
        hidden_(workspace.take<R>(size_t(sizes.rows() * sizes.inner))),
        queries_(workspace.take<T>(size_t(sizes.rows() * sizes.attended()))),
        attended_(workspace.take<T>(size_t(sizes.rows() * sizes.attended()))),
        parts_(workspace.take<std::byte>(ManyRows::needed(sizes.rows(), deepest_))),
        scratch_(workspace.take<R>(threads * scratch_each_)),
        attention_memory_(workspace) {
    Forward<T>::count_workspace(plan_of(sizes.capacity), threads, workspace);
  }

  template <class N>
  void run(const plugin::Call& call, const LayerWeights<Weight, N>& weights, const LayerOptions& options,
           const LayerTensors<T>& tensors) const {
    const int64_t hidden = sizes_.hidden, width = sizes_.projected();
    norm_rows(call, tensors.x, weights.input_norm, options.eps, inputs_);
    const ManyRows normed = rows_of(call, inputs_, hidden);
    R* to = projected_;
    for (const Weight* weight : {&weights.q, &weights.k, &weights.v}) {
      times(call, normed, *weight, into(Rows<R>(to, sizes_.rows(), weight->columns(), width)));
      to += weight->columns();
    }
    turn(call, weights, options, tensors);
    for (int64_t b = 0; b < sizes_.batch; ++b) attend(call, options, tensors, b);

    const Rows<const T> attended(attended_, sizes_.rows(), sizes_.attended(), sizes_.attended());
    times(call, ManyRows(call, as_reals(call, attended, inputs_), parts_), weights.o,
          [&](int64_t row, int64_t column, int64_t count, const R* products) {
            add_row(products, tensors.x[row] + column, sums_ + row * hidden + column, count);
          });

    norm_rows(call, Rows<const R>(sums_, sizes_.rows(), hidden, hidden), weights.post_norm, options.eps,
              inputs_);
    const ManyRows summed = rows_of(call, inputs_, hidden);
    many_rows_times(call, summed, std::array{&weights.gate.many_rows(), &weights.up.many_rows()}, scratch_,
                    [&](int64_t row, int64_t column, int64_t count, const R* gates, const R* ups) {
                      simd::gate_row(gates, ups, hidden_ + row * sizes_.inner + column, count);
                    });
    times(call, rows_of(call, hidden_, sizes_.inner), weights.down,
          [&](int64_t row, int64_t column, int64_t count, const R* products) {
            const int64_t at = row * hidden + column;
            add_row(products, sums_ + at, tensors.out + at, count);
          });
  }

 private:
  Plan plan_of(int64_t keys) const {
    return Plan(1, sizes_.query_heads, sizes_.key_heads, sizes_.tokens, keys, sizes_.dim, sizes_.dim);
  }

  // body(row, worker), `width` elements each.
  template <class Body>
  void for_rows(const plugin::Call& call, int64_t width, const Body& body) const {
    call.parallel_for(sizes_.rows(), rows_per_task(width), [&](int64_t begin, int64_t end, uint32_t worker) {
      for (int64_t row = begin; row < end; ++row) body(row, worker);
    });
  }

  ManyRows rows_of(const plugin::Call& call, const R* values, int64_t width) const {
    return ManyRows(call, {values, sizes_.rows(), width, width}, parts_);
  }
  template <class Write>
  void times(const plugin::Call& call, const ManyRows& x, const Weight& weight, const Write& write) const {
    many_rows_times(call, x, weight.many_rows(), scratch_, write);
  }

  // Queries and, into the cache, keys through their norms and rotation, and the values.
  template <class N>
  void turn(const plugin::Call& call, const LayerWeights<Weight, N>& weights, const LayerOptions& options,
            const LayerTensors<T>& tensors) const {
    for_rows(call, sizes_.projected(), [&](int64_t row, uint32_t worker) {
      const int64_t b = row / sizes_.tokens, position = tensors.past(sizes_, b) + row % sizes_.tokens;
      R* scaled = scratch_ + worker * scratch_each_;
      const R* from = projected_ + row * sizes_.projected();
      for (int64_t head = 0; head < sizes_.query_heads; ++head, from += sizes_.dim)
        turn_head(from, weights.q_norm, sizes_, options, tensors, position, scaled,
                  queries_ + row * sizes_.attended() + head * sizes_.dim);
      for (int64_t head = 0; head < sizes_.key_heads; ++head, from += sizes_.dim) {
        turn_head(from, weights.k_norm, sizes_, options, tensors, position, scaled,
                  tensors.k_cache.row(b, head, position));
        write_row(from + sizes_.keys(), sizes_.dim, R{1}, tensors.v_cache.row(b, head, position));
      }
    });
  }

  void attend(const plugin::Call& call, const LayerOptions& options, const LayerTensors<T>& tensors,
              int64_t b) const {
    const auto row_of = [&](const Heads<T>& cache) {
      return Heads<T>(cache.row(b, 0, 0), 0, cache.head_stride, cache.token_stride);
    };
    const Plan plan = plan_of(tensors.past(sizes_, b) + sizes_.tokens);
    const int64_t first = b * sizes_.tokens * sizes_.attended();
    const AttentionCall<T> attention{
        plan,
        Visibility(/*causal=*/true, options.window, plan.queries, plan.keys, std::nullopt),
        Heads<T>(queries_ + first, 0, sizes_.dim, sizes_.attended()),
        row_of(tensors.k_cache),
        row_of(tensors.v_cache),
        R(options.scale),
        R{0}};
    Workspace memory = attention_memory_;
    Forward<T>(attention, {attended_ + first, nullptr, 0}).run(call, memory);
  }

  const LayerSizes sizes_;
  const int64_t deepest_;      // of the products
  const size_t scratch_each_;  // of a thread, reals: of gate and up at once, or of the deepest
  R *inputs_, *projected_, *sums_, *hidden_;
  T *queries_, *attended_;  // B T (query heads) D
  std::byte* parts_;
  R* scratch_;
  Workspace attention_memory_;  // as it is when attention takes its own
};

}  // namespace graft
