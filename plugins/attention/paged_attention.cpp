// Attention over a KV cache in pages.
#include <graft/contracts/paged_attention.h>

#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/variant.h"
#include "entries.h"
#include "forward_sequences.h"
#include "options.h"
#include "pages.h"
#include "sequences.h"

namespace graft {
namespace {

using namespace plugin;

struct PagedAttention {
  AttentionOptions options;

  explicit PagedAttention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes&, Arguments arguments) {
    return heads_divide(arguments.tensor(kQ).size(1), arguments.tensor(kKeys).size(2));
  }

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const SequencesPlan plan = plan_of(arguments.tensor(kQ), arguments.tensor(kKeys), arguments.tensor(kValues),
                                       arguments.tensor(kTable));
    Workspace workspace;
    with_dtype(arguments.tensor(kQ).dtype(),
               [&]<class T>(T) { ForwardSequences<T, Pages<T>>(workspace, plan, threads); });
    return workspace.used();
  }

  void forward(const Call& call, Tensor q, Tensor k_pages, Tensor v_pages, Tensor block_table, Tensor seqlens_k,
               Tensor cu_seqlens_q, Tensor out) const {
    const Sequences queries("cu_seqlens_q", cu_seqlens_q, q.size(0));
    if (queries.count() != seqlens_k.size(0))
      throw std::invalid_argument("cu_seqlens_q has " + std::to_string(queries.count()) + " sequences, and seqlens_k " +
                                  std::to_string(seqlens_k.size(0)));
    check_pages(k_pages, block_table, seqlens_k);
    const SequencesPlan plan = plan_of(q, k_pages, v_pages, block_table);
    with_dtype(q.dtype(), [&]<class T>(T) {
      using All = ForwardSequences<T, Pages<T>>;
      using R = simd::Real<T>;
      Workspace workspace(call.workspace<void>());
      All(workspace, plan, call.thread_count()).run(call, [&](int64_t b) -> typename All::Sequence {
        const int64_t first = queries.first(b);
        const Plan one = plan.of(queries.length(b), seqlens_k.data<int32_t>()[b]);
        const int32_t* table = block_table.data<int32_t>() + b * block_table.stride(0);
        return {{one, Visibility(options.causal, options.window, one.queries, one.keys, std::nullopt),
                 Heads<T>::packed(q, first), Pages<T>(k_pages, table), Pages<T>(v_pages, table),
                 R(options.scale), R(options.softcap)},
                {out.data<T>() + first * q.size(1) * v_pages.size(3), nullptr, 0}};
      });
    });
  }

 private:
  enum { kQ, kKeys, kValues, kTable };

  static SequencesPlan plan_of(const Tensor& q, const Tensor& k_pages, const Tensor& v_pages,
                               const Tensor& block_table) {
    return {block_table.size(0), Plan(1, q.size(1), k_pages.size(2), q.size(0),
                                      block_table.size(1) * k_pages.size(1), q.size(2), v_pages.size(3))};
  }

  // Nothing else stands between these numbers and memory that is not the cache's.
  static void check_pages(const Tensor& k_pages, const Tensor& block_table, const Tensor& seqlens_k) {
    const int64_t pages = k_pages.size(0), page_tokens = k_pages.size(1);
    for (int64_t b = 0; b < seqlens_k.size(0); ++b) {
      const int64_t keys = seqlens_k.data<int32_t>()[b];
      if (keys < 0 || keys > block_table.size(1) * page_tokens)
        throw std::invalid_argument("seqlens_k is " + std::to_string(keys) + " for sequence " + std::to_string(b) +
                                    ", whose pages hold " + std::to_string(block_table.size(1) * page_tokens));
      const int32_t* table = block_table.data<int32_t>() + b * block_table.stride(0);
      for (int64_t i = 0; i * page_tokens < keys; ++i) {
        if (table[i] < 0 || table[i] >= pages)
          throw std::invalid_argument("block_table names page " + std::to_string(table[i]) + " for sequence " +
                                      std::to_string(b) + ", and there are " + std::to_string(pages));
      }
    }
  }
};

}  // namespace

Entry paged_attention_entry() {
  return for_this_cpu(entry<PagedAttention>("PagedAttention", "paged_attention/1"));
}

}  // namespace graft
