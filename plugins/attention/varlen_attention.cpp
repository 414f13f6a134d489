// Attention over sequences of unequal lengths without padding between them.
#include <graft/contracts/varlen_attention.h>

#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/variant.h"
#include "backward.h"
#include "entries.h"
#include "forward_sequences.h"
#include "options.h"
#include "sequences.h"

namespace graft {
namespace {

using namespace plugin;

struct VarlenAttention {
  AttentionOptions options;

  explicit VarlenAttention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes&, Arguments arguments) {
    return heads_divide(arguments.tensor(kQ).size(1), arguments.tensor(kK).size(1));
  }

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const SequencesPlan plan = plan_of(arguments);
    Workspace workspace;
    with_dtype(arguments.tensor(kQ).dtype(),
               [&]<class T>(T) { ForwardSequences<T, Heads<T>>(workspace, plan, threads); });
    return workspace.used();
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, Tensor cu_seqlens_q, Tensor cu_seqlens_k,
               Tensor out, std::optional<Tensor> lse) const {
    const Sequences queries("cu_seqlens_q", cu_seqlens_q, q.size(0)), keys("cu_seqlens_k", cu_seqlens_k, k.size(0));
    const SequencesPlan plan = plan_of(q, k, v, cu_seqlens_q);
    with_dtype(q.dtype(), [&]<class T>(T) {
      using All = ForwardSequences<T, Heads<T>>;
      Workspace workspace(call.workspace<void>());
      All(workspace, plan, call.thread_count()).run(call, [&](int64_t b) -> typename All::Sequence {
        const int64_t first = queries.first(b);
        return {attention<T>(plan.of(queries.length(b), keys.length(b)), q, k, v, first, keys.first(b)),
                {out.data<T>() + first * q.size(1) * v.size(2), lse ? lse->data<float>() + first : nullptr,
                 q.size(0)}};
      });
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t threads) const {
    const Plan all = plan_of(arguments).all;
    Workspace workspace;
    with_dtype(arguments.tensor(kQ).dtype(), [&]<class T>(T) {
      AttentionBackward<T>(workspace, all, threads);
      Forward<T, simd::Real<T>>::count_workspace(all, threads, workspace);
    });
    return workspace.used();
  }

  // One sequence after the other, each on all threads.
  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV);
    const Sequences queries("cu_seqlens_q", arguments.tensor(kQueries), q.size(0)),
        keys("cu_seqlens_k", arguments.tensor(kKeys), k.size(0));
    const SequencesPlan plan = plan_of(arguments);
    with_dtype(q.dtype(), [&]<class T>(T) {
      if (!grad_outputs.has(0)) {
        for (int i : {kQ, kK, kV}) clear(wanted<T>(grad_inputs, needs, i));
        return;
      }
      const float* lse = arguments.has(kLse) ? arguments.tensor(kLse).data<float>() : nullptr;
      for (int64_t b = 0; b < plan.sequences; ++b) {
        const int64_t query = queries.first(b), key = keys.first(b);
        const auto wanted_rows = [&](int i, int64_t first) {
          return needed(needs, i) ? std::optional<Heads<T>>(Heads<T>::packed(grad_inputs.tensor(i), first))
                                  : std::nullopt;
        };
        const AttentionCall<T> attention =
            this->attention<T>(plan.of(queries.length(b), keys.length(b)), q, k, v, query, key);
        const AttentionGradients<T> grad{Heads<T>::packed(arguments.tensor(kOut), query),
                                         Heads<T>::packed(grad_outputs.tensor(0), query),
                                         wanted_rows(kQ, query), wanted_rows(kK, key), wanted_rows(kV, key)};
        Workspace workspace(call.workspace<void>());
        AttentionBackward<T>(workspace, attention.plan, call.thread_count())
            .run(call, attention, grad, lse != nullptr ? lse + query : nullptr, q.size(0), workspace);
      }
    });
  }

 private:
  enum { kQ, kK, kV, kQueries, kKeys, kOut, kLse };

  static SequencesPlan plan_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_seqlens_q) {
    return {std::max<int64_t>(0, cu_seqlens_q.size(0) - 1),
            Plan(1, q.size(1), k.size(1), q.size(0), k.size(0), q.size(2), v.size(2))};
  }
  static SequencesPlan plan_of(const Arguments& arguments) {
    return plan_of(arguments.tensor(kQ), arguments.tensor(kK), arguments.tensor(kV), arguments.tensor(kQueries));
  }

  template <class T>
  AttentionCall<T> attention(const Plan& plan, const Tensor& q, const Tensor& k, const Tensor& v, int64_t query,
                             int64_t key) const {
    using R = simd::Real<T>;
    return {plan,
            Visibility(options.causal, options.window, plan.queries, plan.keys, std::nullopt),
            Heads<T>::packed(q, query),
            Heads<T>::packed(k, key),
            Heads<T>::packed(v, key),
            R(options.scale),
            R(options.softcap)};
  }
};

}  // namespace

Entry varlen_attention_entry() {
  return for_this_cpu(entry<VarlenAttention>("VarlenAttention", "varlen_attention/1"));
}

}  // namespace graft
