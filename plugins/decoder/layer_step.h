// LayerStep: a decoder layer for a few new tokens, which waits for memory: each weight is streamed once, and
// all steps are one region of the host's threads (common/phases.h). What lies between is float, in the
// workspace; queries and the cache are of x's dtype. What is small each thread computes for itself where it
// is needed, instead of waiting for another one's: norms, and the queries' rotation.
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

// What a step works with.
template <class T, class Weight>
class StepMemory {
  using R = simd::Real<T>;

 public:
  StepMemory(Workspace& workspace, const LayerSizes& sizes, uint32_t threads)
      : sizes(sizes),
        longest(plan_of(sizes.capacity)),
        projected(rows_of<R>(workspace, sizes.projected())),
        attended(rows_of<T>(workspace, sizes.attended())),
        sums(rows_of<R>(workspace, sizes.hidden)),
        gates(rows_of<R>(workspace, sizes.inner)),
        ups(rows_of<R>(workspace, sizes.inner)),
        downs(rows_of<R>(workspace, sizes.hidden)),
        parts_(workspace.take<R>(size_t(sizes.batch * sizes.key_heads) * longest.parts_size())),
        inputs_(workspace.take<R>(threads * input_size())),
        row_memory_(workspace.take<typename Weight::RowMemory>(threads * row_memory_size())),
        queries_(workspace.take<T>(threads * query_size())),
        attention_(workspace, longest, threads) {}

  // Attention of a key head with its queries; keys are split finely, so that there are tasks for all threads
  // from the first tokens on.
  Plan plan_of(int64_t length) const {
    return Plan(1, sizes.group(), 1, sizes.tokens, length, sizes.dim, sizes.dim).split_every(kKeysPerBlock);
  }

  const LayerSizes sizes;
  const Plan longest;
  R* projected;  // rows of q, k, v
  T* attended;   // B K T (queries of a key head) D
  R* sums;       // with the first residual connection
  R *gates, *ups, *downs;
  R* parts(int64_t b, int64_t head) const {
    return parts_ + size_t(b * sizes.key_heads + head) * longest.parts_size();
  }

  // A thread's own.
  R* inputs(uint32_t worker) const { return inputs_ + worker * input_size(); }  // of a product, as reals
  typename Weight::RowMemory* rows(uint32_t worker) const { return row_memory_ + worker * row_memory_size(); }
  T* queries(uint32_t worker) const { return queries_ + worker * query_size(); }
  typename Forward<T>::Scratch attention(uint32_t worker) const { return attention_.of(worker); }

 private:
  template <class E>
  E* rows_of(Workspace& workspace, int64_t width) const {
    return workspace.take<E>(size_t(sizes.rows() * width));
  }
  size_t input_size() const { return size_t(sizes.rows() * std::max(sizes.hidden, sizes.attended())); }
  size_t row_memory_size() const {
    return Weight::row_memory(sizes.rows(), std::max({sizes.hidden, sizes.attended(), sizes.inner}));
  }
  size_t query_size() const { return size_t(sizes.group() * sizes.tokens * sizes.dim); }

  R *parts_, *inputs_;
  typename Weight::RowMemory* row_memory_;
  T* queries_;
  typename Forward<T>::Memory attention_;
};

// N: of the norms' weights.
template <class T, class Weight, class N>
class LayerStep {
  using R = simd::Real<T>;
  using Memory = StepMemory<T, Weight>;

 public:
  LayerStep(const Memory& memory, const LayerWeights<Weight, N>& weights, const LayerOptions& options,
            const LayerTensors<T>& tensors)
      : memory_(memory), sizes_(memory.sizes), weights_(weights), options_(options), tensors_(tensors) {}

  void run(const plugin::Call& call) const {
    const int64_t projected = weights_.q.units() + weights_.k.units() + weights_.v.units();
    const auto [attend_tasks, split] = attend_tasks_and_split();
    const uint32_t threads = call.thread_count();
    const int64_t tasks[] = {tasks_of(projected, threads),
                             attend_tasks,
                             split ? sizes_.batch * sizes_.key_heads : 0,
                             tasks_of(weights_.o.units(), threads),
                             tasks_of(weights_.gate.units(), threads),
                             tasks_of(weights_.down.units(), threads)};
    const auto part = [&](size_t phase, int64_t task, int64_t units) {
      return Units{units * task / tasks[phase], units * (task + 1) / tasks[phase]};
    };
    const auto fetch = [&](size_t phase, int64_t task, int i) {
      switch (phase) {
        case kOutput:
          return fetch_units(weights_.o, part(phase, task, weights_.o.units()), i);
        case kGate:
          return fetch_units(weights_.gate, part(phase, task, weights_.gate.units()), i);
        case kDown:
          return fetch_units(weights_.down, part(phase, task, weights_.down.units()), i);
      }
    };
    const auto run = [&](size_t phase, int64_t task, uint32_t worker) {
      switch (phase) {
        case kProject:
          return project(part(phase, task, projected), worker);
        case kAttend:
          return attend(task, worker);
        case kJoin:
          return join(task);
        case kOutput:
          return output(part(phase, task, weights_.o.units()), worker);
        case kGate:
          return gate(part(phase, task, weights_.gate.units()), worker);
        case kDown:
          return down(part(phase, task, weights_.down.units()), worker);
      }
    };
    for_phases(call, tasks, run, fetch);
  }

 private:
  enum Phase : size_t { kProject, kAttend, kJoin, kOutput, kGate, kDown };
  struct Units {
    int64_t begin, end;
  };

  static void fetch_units(const Weight& weight, Units units, int i) {
    weight.fetch(units.begin, units.end, i);
  }

  // One for each thread, as long as another's. With each cut into four, so that others could help a thread
  // that is late, 8 bits decoded 3 to 7 % slower, and no faster while something else ran on one of two cores.
  static int64_t tasks_of(int64_t units, uint32_t threads) {
    return std::clamp<int64_t>(units, 1, int64_t{threads});
  }

  Plan plan_of(int64_t b) const { return memory_.plan_of(tensors_.past(sizes_, b) + sizes_.tokens); }

  std::pair<int64_t, bool> attend_tasks_and_split() const {
    int64_t tasks = 0;
    bool split = false;
    for (int64_t b = 0; b < sizes_.batch; ++b) {
      const int64_t splits = plan_of(b).splits;
      tasks += sizes_.key_heads * splits;
      split = split || splits > 1;
    }
    return {tasks, split};
  }

  // q, k and v are the columns of one product, one behind the other.
  void project(Units units, uint32_t worker) const {
    const auto x = rows(normed(tensors_.x, weights_.input_norm, worker), worker);
    R* to = memory_.projected;
    for (const Weight* weight : {&weights_.q, &weights_.k, &weights_.v}) {
      if (units.begin < weight->units() && units.end > 0)
        weight->times(x, std::max<int64_t>(0, units.begin), std::min(units.end, weight->units()), to,
                      sizes_.projected());
      units.begin -= weight->units(), units.end -= weight->units();
      to += weight->columns();
    }
  }

  // Task: a key head of a row of the batch and a split of its keys; of these it writes into the cache what is
  // new.
  void attend(int64_t task, uint32_t worker) const {
    int64_t b = 0;
    Plan plan = plan_of(b);
    for (; task >= sizes_.key_heads * plan.splits; plan = plan_of(++b))
      task -= sizes_.key_heads * plan.splits;
    const int64_t head = task / plan.splits, split = task % plan.splits, past = tensors_.past(sizes_, b);
    const int64_t first = std::max(past, split * plan.keys_each),
                  last = std::min(plan.keys, (split + 1) * plan.keys_each);
    R* scaled = memory_.inputs(worker);
    for (int64_t position = first; position < last; ++position) {
      const R* row = projected(b, position - past) + sizes_.attended() + head * sizes_.dim;
      turn_head(row, weights_.k_norm, sizes_, options_, tensors_, position, scaled,
                tensors_.k_cache.row(b, head, position));
      write_row(row + sizes_.keys(), sizes_.dim, R{1}, tensors_.v_cache.row(b, head, position));
    }
    T* queries = memory_.queries(worker);
    for (int64_t token = 0; token < sizes_.tokens; ++token)
      for (int64_t g = 0; g < sizes_.group(); ++g)
        turn_head(projected(b, token) + (head * sizes_.group() + g) * sizes_.dim, weights_.q_norm, sizes_,
                  options_, tensors_, past + token, scaled,
                  queries + (g * sizes_.tokens + token) * sizes_.dim);
    const AttentionCall<T> attention = this->attention(plan, queries, b, head);
    typename Forward<T>::Scratch scratch = memory_.attention(worker);
    Forward<T>(attention, attended(b, head)).run_task(split, scratch, memory_.parts(b, head));
  }

  void join(int64_t task) const {
    const int64_t b = task / sizes_.key_heads, head = task % sizes_.key_heads;
    const Plan plan = plan_of(b);
    if (plan.splits == 1) return;
    const AttentionCall<T> attention = this->attention(plan, nullptr, b, head);
    Forward<T>(attention, attended(b, head)).join(0, plan.query_heads * plan.queries, memory_.parts(b, head));
  }

  void output(Units units, uint32_t worker) const {
    const auto x = rows(attended_reals(worker), worker);
    weights_.o.times(x, units.begin, units.end, memory_.sums, sizes_.hidden);
    for_columns(weights_.o, units, [&](int64_t row, int64_t column, int64_t count) {
      R* sums = memory_.sums + row * sizes_.hidden + column;
      add_row(sums, tensors_.x[row] + column, sums, count);
    });
  }

  void gate(Units units, uint32_t worker) const {
    const Rows<const R> sums(memory_.sums, sizes_.rows(), sizes_.hidden, sizes_.hidden);
    const auto x = rows(normed(sums, weights_.post_norm, worker), worker);
    weights_.gate.times(x, units.begin, units.end, memory_.gates, sizes_.inner);
    weights_.up.times(x, units.begin, units.end, memory_.ups, sizes_.inner);
    for_columns(weights_.gate, units, [&](int64_t row, int64_t column, int64_t count) {
      const int64_t at = row * sizes_.inner + column;
      simd::gate_row(memory_.gates + at, memory_.ups + at, memory_.gates + at, count);
    });
  }

  void down(Units units, uint32_t worker) const {
    const auto x = rows({memory_.gates, sizes_.rows(), sizes_.inner, sizes_.inner}, worker);
    weights_.down.times(x, units.begin, units.end, memory_.downs, sizes_.hidden);
    for_columns(weights_.down, units, [&](int64_t row, int64_t column, int64_t count) {
      const int64_t at = row * sizes_.hidden + column;
      add_row(memory_.downs + at, memory_.sums + at, tensors_.out + at, count);
    });
  }

  const R* projected(int64_t b, int64_t token) const {
    return memory_.projected + (b * sizes_.tokens + token) * sizes_.projected();
  }

  template <class X>
  Matrix<R> normed(const Rows<const X>& x, const N* weight, uint32_t worker) const {
    R* to = memory_.inputs(worker);
    norm_rows(x, 0, sizes_.rows(), weight, options_.eps, to);
    return {to, sizes_.rows(), sizes_.hidden, sizes_.hidden};
  }

  // As times() takes them.
  typename Weight::Rows rows(const Matrix<R>& x, uint32_t worker) const {
    return Weight::rows(x, memory_.rows(worker));
  }

  // B T (queries) D
  Matrix<R> attended_reals(uint32_t worker) const {
    const int64_t width = sizes_.group() * sizes_.dim;
    R* to = memory_.inputs(worker);
    const T* from = memory_.attended;
    for (int64_t b = 0; b < sizes_.batch; ++b)
      for (int64_t head = 0; head < sizes_.key_heads; ++head)
        for (int64_t token = 0; token < sizes_.tokens; ++token, from += width)
          copy_rows(from, width, 1, width, R{1},
                    to + (b * sizes_.tokens + token) * sizes_.attended() + head * width, width);
    return {to, sizes_.rows(), sizes_.attended(), sizes_.attended()};
  }

  AttentionCall<T> attention(const Plan& plan, T* queries, int64_t b, int64_t head) const {
    const auto keys_of = [&](const Heads<T>& cache) {
      return Heads<T>(cache.row(b, head, 0), 0, 0, cache.token_stride);
    };
    return {plan,
            Visibility(/*causal=*/true, options_.window, plan.queries, plan.keys, std::nullopt),
            Heads<T>(queries, 0, sizes_.tokens * sizes_.dim, sizes_.dim),
            keys_of(tensors_.k_cache),
            keys_of(tensors_.v_cache),
            R(options_.scale),
            R{0}};
  }
  typename Forward<T>::Target attended(int64_t b, int64_t head) const {
    const int64_t size = sizes_.tokens * sizes_.group() * sizes_.dim;
    return {memory_.attended + (b * sizes_.key_heads + head) * size, nullptr, 0};
  }

  // body(row, column, count) for the columns of these units.
  template <class Body>
  void for_columns(const Weight& weight, Units units, const Body& body) const {
    const int64_t column = units.begin * Weight::kUnit;
    const int64_t count = std::min(weight.columns(), units.end * Weight::kUnit) - column;
    for (int64_t row = 0; row < sizes_.rows(); ++row) body(row, column, count);
  }

  const Memory& memory_;
  const LayerSizes& sizes_;
  const LayerWeights<Weight, N>& weights_;
  const LayerOptions& options_;
  const LayerTensors<T>& tensors_;
};

}  // namespace graft
