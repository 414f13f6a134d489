// LayerStep: a decoder layer for a few new tokens, which waits for memory: each weight is streamed once, and all steps are one
// region of the host's threads (common/phases.h). What lies between is float, in the workspace; queries and the cache are of x's
// dtype. What is small each thread computes for itself where it is needed, instead of waiting for another one's: norms, and the
// queries' rotation.
#pragma once

#include <graft/plugin.hpp>

#include "../attention/forward.h"
#include "../common/math.h"
#include "../common/phases.h"
#include "../common/reals.h"
#include "layer.h"
#include "weights.h"

namespace graft {

inline constexpr int64_t kMostRows = 16;  // of a step: with more a product waits for arithmetic

// Whether a step serves it: few rows, and all queries of a key head in one task, which writes the new keys.
inline bool serves_step(const LayerSizes& sizes) {
  return sizes.rows() <= kMostRows && sizes.group() * sizes.tokens <= kRowsPerTask;
}

template <class T, class Weight, class N>
class LayerStep {
  using R = simd::Real<T>;
  using Attend = Forward<T>;

 public:

  LayerStep(Workspace& workspace, const LayerSizes& sizes, uint32_t threads)
      : sizes_(sizes),
        widest_(plan_of(sizes.capacity)),
        projected_(workspace.take<R>(size_t(sizes.rows() * std::max(sizes.projected(), sizes.hidden)))),
        attended_(workspace.take<T>(size_t(sizes.rows() * sizes.attended()))),
        sums_(workspace.take<R>(size_t(sizes.rows() * sizes.hidden))),
        hidden_(workspace.take<R>(size_t(sizes.rows() * sizes.inner))),
        ups_(workspace.take<R>(size_t(sizes.rows() * sizes.inner))),
        parts_(workspace.take<R>(size_t(sizes.batch * sizes.key_heads) * widest_.parts_size())),
        inputs_(workspace.take<R>(threads * input_size())),
        rows_(workspace.take<typename Weight::RowMemory>(threads * row_memory())),
        queries_(workspace.take<T>(threads * query_size())),
        memory_(workspace, widest_, threads) {}

  void run(const plugin::Call& call, const LayerWeights<Weight, N>& weights, const LayerOptions& options,
           const LayerTensors<T>& tensors) const {
    const Weight projections[] = {weights.q, weights.k, weights.v};
    const int64_t projected_units = weights.q.units() + weights.k.units() + weights.v.units();
    const uint32_t threads = call.thread_count();
    int64_t attend_tasks = 0;
    bool split = false;
    for (int64_t b = 0; b < sizes_.batch; ++b) {
      const Plan plan = plan_of(tensors.past(sizes_, b) + sizes_.tokens);
      attend_tasks += sizes_.key_heads * plan.splits;
      split = split || plan.splits > 1;
    }
    enum { kProject, kAttend, kJoin, kOutput, kGateAndUp, kDown };
    const int64_t tasks[] = {tasks_of(projected_units, weights.q, threads),
                             attend_tasks,
                             split ? sizes_.batch * sizes_.key_heads : 0,
                             tasks_of(weights.o.units(), weights.o, threads),
                             tasks_of(weights.gate.units(), weights.gate, threads, 2),
                             tasks_of(weights.down.units(), weights.down, threads)};
    const auto part = [&](int phase, int64_t task, int64_t units) {
      return std::pair(units * task / tasks[phase], units * (task + 1) / tasks[phase]);
    };
    for_phases(call, tasks, [&](size_t phase, int64_t task, uint32_t worker) {
      switch (phase) {
        case kProject: {
          const auto x = rows(normed(tensors.x, weights.input_norm, options.eps, worker), worker);
          auto [begin, end] = part(kProject, task, projected_units);
          R* to = projected_;
          for (const Weight& weight : projections) {
            if (begin < weight.units() && end > 0)
              weight.times(x, std::max<int64_t>(0, begin), std::min(end, weight.units()), to, sizes_.projected());
            begin -= weight.units(), end -= weight.units();
            to += weight.columns();
          }
          return;
        }
        case kAttend:
          return attend(task, weights, options, tensors, worker);
        case kJoin:
          return join(task, tensors, options);
        case kOutput: {
          const auto [begin, end] = part(kOutput, task, weights.o.units());
          weights.o.times(rows(attended_reals(worker), worker), begin, end, sums_, sizes_.hidden);
          return for_columns(weights.o, begin, end, [&](int64_t row, int64_t column, int64_t count) {
            R* sums = sums_ + row * sizes_.hidden + column;
            add_row(sums, tensors.x[row] + column, sums, count);
          });
        }
        case kGateAndUp: {
          const Rows<const R> sums(sums_, sizes_.rows(), sizes_.hidden, sizes_.hidden);
          const auto x = rows(normed(sums, weights.post_norm, options.eps, worker), worker);
          const auto [begin, end] = part(kGateAndUp, task, weights.gate.units());
          weights.gate.times(x, begin, end, hidden_, sizes_.inner);
          weights.up.times(x, begin, end, ups_, sizes_.inner);
          return for_columns(weights.gate, begin, end, [&](int64_t row, int64_t column, int64_t count) {
            R* gates = hidden_ + row * sizes_.inner + column;
            gate_row(gates, ups_ + row * sizes_.inner + column, count);
          });
        }
        case kDown: {
          const auto [begin, end] = part(kDown, task, weights.down.units());
          const auto x = rows({hidden_, sizes_.rows(), sizes_.inner, sizes_.inner}, worker);
          weights.down.times(x, begin, end, projected_, sizes_.hidden);
          return for_columns(weights.down, begin, end, [&](int64_t row, int64_t column, int64_t count) {
            const int64_t at = row * sizes_.hidden + column;
            add_row(projected_ + at, sums_ + at, tensors.out + at, count);
          });
        }
      }
    });
  }

 private:
  size_t input_size() const { return size_t(sizes_.rows() * std::max(sizes_.hidden, sizes_.attended())); }
  size_t row_memory() const {
    return Weight::row_memory(sizes_.rows(), std::max({sizes_.hidden, sizes_.attended(), sizes_.inner}));
  }
  size_t query_size() const { return size_t(sizes_.group() * sizes_.tokens * sizes_.dim); }

  // As much for one thread as for another, in pieces that another one can take from a thread that is late.
  static int64_t tasks_of(int64_t units, const Weight& weight, uint32_t threads, int64_t weights = 1) {
    constexpr int64_t kBytes = 128 << 10;
    const int64_t pieces = units * weight.unit_bytes() * weights / kBytes / int64_t{threads};
    return std::clamp<int64_t>(std::clamp<int64_t>(pieces, 1, 4) * int64_t{threads}, 1, units);
  }

  // Of a key head with its queries; keys are split finely, so that there are tasks for all threads from the first tokens on.
  Plan plan_of(int64_t length) const {
    return Plan(1, sizes_.group(), 1, sizes_.tokens, length, sizes_.dim, sizes_.dim).split_every(kKeysPerBlock);
  }

  typename Weight::Rows rows(const Matrix<R>& x, uint32_t worker) const {
    return Weight::rows(x, rows_ + worker * row_memory());
  }

  template <class X>
  Matrix<R> normed(const Rows<const X>& x, const N* weight, double eps, uint32_t worker) const {
    R* to = inputs_ + worker * input_size();
    for (int64_t row = 0; row < sizes_.rows(); ++row)
      scale_row(x[row], row_rstd(x[row], sizes_.hidden, eps), weight, to + row * sizes_.hidden, sizes_.hidden);
    return {to, sizes_.rows(), sizes_.hidden, sizes_.hidden};
  }

  // attended_ is B K T (queries of a key head) D, this B T (queries) D.
  Matrix<R> attended_reals(uint32_t worker) const {
    const int64_t width = sizes_.group() * sizes_.dim;
    R* to = inputs_ + worker * input_size();
    const T* from = attended_;
    for (int64_t b = 0; b < sizes_.batch; ++b)
      for (int64_t head = 0; head < sizes_.key_heads; ++head)
        for (int64_t token = 0; token < sizes_.tokens; ++token, from += width)
          copy_rows(from, width, 1, width, R{1}, to + (b * sizes_.tokens + token) * sizes_.attended() + head * width, width);
    return {to, sizes_.rows(), sizes_.attended(), sizes_.attended()};
  }

  // Task: a key head of a row of the batch and a split of its keys; of these it writes into the cache what is new.
  void attend(int64_t task, const LayerWeights<Weight, N>& weights, const LayerOptions& options,
              const LayerTensors<T>& tensors, uint32_t worker) const {
    int64_t b = 0;
    Plan plan = plan_of(tensors.past(sizes_, 0) + sizes_.tokens);
    for (; task >= sizes_.key_heads * plan.splits; plan = plan_of(tensors.past(sizes_, ++b) + sizes_.tokens))
      task -= sizes_.key_heads * plan.splits;
    const int64_t head = task / plan.splits, split = task % plan.splits, old = tensors.past(sizes_, b);
    const int64_t first = std::max(old, split * plan.keys_each), last = std::min(plan.keys, (split + 1) * plan.keys_each);
    R* scaled = inputs_ + worker * input_size();
    for (int64_t position = first; position < last; ++position) {
      const R* row = projected_ + (b * sizes_.tokens + position - old) * sizes_.projected() + sizes_.attended() + head * sizes_.dim;
      turn_head(row, weights.k_norm, sizes_, options, tensors, position, scaled, tensors.k_cache.row(b, head, position));
      write_row(row + sizes_.keys(), sizes_.dim, R{1}, tensors.v_cache.row(b, head, position));
    }
    T* queries = queries_ + worker * query_size();
    for (int64_t token = 0; token < sizes_.tokens; ++token)
      for (int64_t g = 0; g < sizes_.group(); ++g) {
        const R* row = projected_ + (b * sizes_.tokens + token) * sizes_.projected() + (head * sizes_.group() + g) * sizes_.dim;
        turn_head(row, weights.q_norm, sizes_, options, tensors, old + token, scaled, queries + (g * sizes_.tokens + token) * sizes_.dim);
      }
    const AttentionCall<T> attention = this->attention(plan, options, queries, tensors, b, head);
    typename Attend::Scratch scratch = memory_.of(worker);
    Attend(attention, target(b, head)).run_task(split, scratch, parts(b, head));
  }

  void join(int64_t task, const LayerTensors<T>& tensors, const LayerOptions& options) const {
    const int64_t b = task / sizes_.key_heads, head = task % sizes_.key_heads;
    const Plan plan = plan_of(tensors.past(sizes_, b) + sizes_.tokens);
    if (plan.splits == 1) return;
    const AttentionCall<T> attention = this->attention(plan, options, nullptr, tensors, b, head);
    Attend(attention, target(b, head)).join(0, plan.query_heads * plan.queries, parts(b, head));
  }

  AttentionCall<T> attention(const Plan& plan, const LayerOptions& options, T* queries, const LayerTensors<T>& tensors,
                             int64_t b, int64_t head) const {
    const auto keys_of = [&](const Heads<T>& cache) { return Heads<T>(cache.row(b, head, 0), 0, 0, cache.token_stride); };
    return {plan,
            Visibility(/*causal=*/true, options.window, plan.queries, plan.keys, std::nullopt),
            Heads<T>(queries, 0, sizes_.tokens * sizes_.dim, sizes_.dim),
            keys_of(tensors.k_cache),
            keys_of(tensors.v_cache),
            R(options.scale),
            R{0}};
  }
  typename Attend::Target target(int64_t b, int64_t head) const {
    const int64_t size = sizes_.tokens * sizes_.group() * sizes_.dim;
    return {attended_ + (b * sizes_.key_heads + head) * size, nullptr, 0};
  }
  R* parts(int64_t b, int64_t head) const {
    return parts_ + size_t(b * sizes_.key_heads + head) * widest_.parts_size();
  }

  // body(row, column, count) for the columns of units [begin, end).
  template <class Body>
  void for_columns(const Weight& weight, int64_t begin, int64_t end, const Body& body) const {
    const int64_t column = begin * Weight::kUnit, count = std::min(weight.columns(), end * Weight::kUnit) - column;
    for (int64_t row = 0; row < sizes_.rows(); ++row) body(row, column, count);
  }

  const LayerSizes sizes_;
  const Plan widest_;
  R* projected_;  // rows of q, k, v; at the end of down
  T* attended_;
  R *sums_, *hidden_, *ups_, *parts_;
  R* inputs_;  // of each thread, as those that follow
  typename Weight::RowMemory* rows_;
  T* queries_;
  typename Attend::Memory memory_;
};

}  // namespace graft
