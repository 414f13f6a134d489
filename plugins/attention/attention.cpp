// Attention over a KV cache, prefill and decode.
//
// A task is one key head with all query heads that read it and a block of query tokens, so that a key and a
// value are loaded once for the whole group. When there are too few queries to make enough tasks (decode),
// the keys are split as well and the parts put together in a second pass. How the work is cut follows from
// the shapes alone, never from the thread count: the same inputs give the same bits. Gradients are in
// backward.h.
#include <graft/contracts/attention.h>

#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/variant.h"
#include "backward.h"
#include "entries.h"
#include "forward.h"
#include "options.h"

namespace graft {
namespace {

using namespace plugin;

struct Attention {
  AttentionOptions options;

  explicit Attention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes&, Arguments arguments) {
    return heads_divide(arguments.tensor(kQ).size(1), arguments.tensor(kK).size(1));
  }

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const Plan plan(arguments.tensor(kQ), arguments.tensor(kK), arguments.tensor(kV));
    Workspace workspace;
    with_dtype(arguments.tensor(kQ).dtype(),
               [&]<class T>(T) { Forward<T>::count_workspace(plan, threads, workspace); });
    return workspace.used();
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, std::optional<Tensor> mask, Tensor out,
               std::optional<Tensor> lse) const {
    with_dtype(q.dtype(), [&]<class T>(T) {
      const AttentionCall<T> attention = this->attention<T>(q, k, v, mask);
      Workspace workspace(call.workspace<void>());
      Forward<T>(attention, {out.data<T>(), lse ? lse->data<float>() : nullptr, attention.plan.queries})
          .run(call, workspace);
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t threads) const {
    const Plan plan(arguments.tensor(kQ), arguments.tensor(kK), arguments.tensor(kV));
    Workspace workspace;
    with_dtype(arguments.tensor(kQ).dtype(), [&]<class T>(T) {
      AttentionBackward<T>(workspace, plan, threads);
      Forward<T, simd::Real<T>>::count_workspace(plan, threads, workspace);
    });
    return workspace.used();
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    if (needed(needs, kMask)) throw Unsupported("a boolean mask has no gradient");
    with_dtype(arguments.tensor(kQ).dtype(), [&]<class T>(T) {
      if (!grad_outputs.has(0)) {
        for (int i : {kQ, kK, kV}) clear(wanted<T>(grad_inputs, needs, i));
        return;
      }
      const auto heads = [&](int i) {
        return needed(needs, i) ? std::optional<Heads<T>>(grad_inputs.tensor(i)) : std::nullopt;
      };
      const AttentionCall<T> attention = this->attention<T>(arguments.tensor(kQ), arguments.tensor(kK),
                                                            arguments.tensor(kV), arguments.optional(kMask));
      const AttentionGradients<T> grad{Heads<T>::tokens_first(arguments.tensor(kOut)),
                                       Heads<T>::tokens_first(grad_outputs.tensor(0)), heads(kQ), heads(kK),
                                       heads(kV)};
      Workspace workspace(call.workspace<void>());
      AttentionBackward<T>(workspace, attention.plan, call.thread_count())
          .run(call, attention, grad, arguments.has(kLse) ? arguments.tensor(kLse).data<float>() : nullptr,
               attention.plan.queries, workspace);
    });
  }

 private:
  enum { kQ, kK, kV, kMask, kOut, kLse };

  template <class T>
  AttentionCall<T> attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const std::optional<Tensor>& mask) const {
    const Plan plan(q, k, v);
    using R = simd::Real<T>;
    return {plan,        Visibility(options.causal, options.window, plan.queries, plan.keys, mask),
            Heads<T>(q), Heads<T>(k),
            Heads<T>(v), R(options.scale),
            R(options.softcap)};
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::Attention>("Attention", "attention/1")),
             graft::varlen_attention_entry(), graft::paged_attention_entry())
