// Forward of many sequences at once: the tasks of all of them, one behind the other, are shared out among the threads by the blocks
// of keys that they read, since lengths may differ by any factor.
#pragma once

#include "forward.h"

namespace graft {

// What the shapes say of the lengths.
struct SequencesPlan {
  int64_t sequences;
  Plan all;  // as if one sequence had all queries and the most keys

  // Keys are split among tasks in decode alone. By the number of tokens and not each sequence's own: the parts of a long
  // prompt would need memory for as many splits as its keys could have.
  bool may_split() const { return all.queries <= sequences; }
  size_t parts_size() const {
    return size_t(std::min(all.queries, sequences) * all.query_heads * all.most_splits() * all.part_size());
  }
  Plan of(int64_t queries, int64_t keys) const {
    const Plan plan(1, all.query_heads, all.key_heads, queries, keys, all.key_dim, all.value_dim);
    return may_split() ? plan : plan.unsplit();
  }
};

template <class T, class Keys>
class ForwardSequences {
  using R = simd::Real<T>;
  using One = Forward<T, float, Keys>;

 public:
  struct Sequence {
    AttentionCall<T, Keys> attention;
    typename One::Target target;
  };

  ForwardSequences(Workspace& workspace, const SequencesPlan& plan, uint32_t threads)
      : plan_(plan),
        work_(workspace.take<int64_t>(size_t(plan.sequences + 1))),
        parts_before_(workspace.take<int64_t>(size_t(plan.sequences))),
        parts_(workspace.take<R>(plan.parts_size())),
        memory_(workspace, plan.all, threads) {}

  // of(b): sequence number b, its plan being plan.of(…).
  template <class Of>
  void run(const plugin::Call& call, const Of& of) const {
    int64_t work = 0, parts = 0;
    bool split = false;
    for (int64_t b = 0; b < plan_.sequences; ++b) {
      const Plan plan = of(b).attention.plan;
      work_[b] = work;
      parts_before_[b] = parts;
      work += plan.tasks() * work_of_task(plan);
      if (plan.splits == 1) continue;
      parts += plan.tasks() * plan.rows() * plan.part_size();
      split = true;
    }
    work_[plan_.sequences] = work;

    const int64_t products_each = plan_.all.rows() * kKeysPerBlock * (plan_.all.key_dim + plan_.all.value_dim);
    const int64_t grain = std::max<int64_t>(1, kProductsPerTask / std::max<int64_t>(1, products_each));
    call.parallel_for(work, grain, [&](int64_t begin, int64_t end, uint32_t worker) {
      typename One::Scratch scratch = memory_.of(worker);
      int64_t b = std::upper_bound(work_, work_ + plan_.sequences + 1, begin) - work_ - 1;
      for (; b < plan_.sequences && work_[b] < end; ++b) {
        const Sequence sequence = of(b);
        const One forward(sequence.attention, sequence.target);
        const int64_t each = work_of_task(sequence.attention.plan);
        // A task is done by whoever has its first unit of work.
        const int64_t last = blocks(std::min(end, work_[b + 1]) - work_[b], each);
        for (int64_t i = blocks(std::max<int64_t>(0, begin - work_[b]), each); i < last; ++i)
          forward.run_task(i, scratch, parts_ + parts_before_[b]);
      }
    });
    if (!split) return;
    call.parallel_for(plan_.sequences, 1, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t b = begin; b < end; ++b) {
        const Sequence sequence = of(b);
        const Plan& plan = sequence.attention.plan;
        if (plan.splits == 1) continue;
        One(sequence.attention, sequence.target)
            .join(0, plan.query_heads * plan.queries, parts_ + parts_before_[b]);
      }
    });
  }

 private:
  // In blocks of keys.
  static int64_t work_of_task(const Plan& plan) {
    return std::max<int64_t>(1, blocks(std::min(plan.keys, plan.keys_each), kKeysPerBlock));
  }

  const SequencesPlan& plan_;
  int64_t* work_;  // before each sequence
  int64_t* parts_before_;
  R* parts_;
  typename One::Memory memory_;
};

}  // namespace graft
