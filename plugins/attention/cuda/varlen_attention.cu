// Attention over sequences of unequal lengths without padding between them: the same kernels, each block of which looks up its
// own place in cu_seqlens, so that no length is needed on the host. There are as many blocks as the sequences may need at most.
#include <graft/contracts/varlen_attention.h>

#include <graft/plugin.hpp>

#include "../entries.h"
#include "plan.h"
#include "served.h"

namespace graft {
namespace {

using namespace plugin;

struct VarlenAttention {
  AttentionOptions options;

  explicit VarlenAttention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes& attributes, Arguments arguments) {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV);
    return gpu::options_served(AttentionOptions(attributes)) && !arguments.has(kLse) && heads_divide(q.size(1), k.size(1)) &&
           gpu::head_dimension_served(k.size(2), v.size(2)) && gpu::rows_served(q, 0, 1) && gpu::rows_served(k, 0, 1) &&
           gpu::rows_served(v, 0, 1) && q.numel() < int64_t{1} << 31;
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, Tensor cu_seqlens_q, Tensor cu_seqlens_k, Tensor out,
               std::optional<Tensor> lse) const {
    if (lse) throw Unsupported("the log-sum-exp for backward");
    if (out.numel() == 0 || cu_seqlens_q.size(0) < 2) return;
    gpu::Problem p = gpu::problem_of(options, q, k, v, out, 0, 1);
    p.first_query = cu_seqlens_q.data<int32_t>();
    p.first_key = cu_seqlens_k.data<int32_t>();
    p.batch = uint32_t(cu_seqlens_q.size(0) - 1);
    const int64_t rows = gpu::ceil_divide(p.queries, p.batch) * p.group();  // of a sequence of average length
    gpu::launch(p, q.dtype(), q.size(2), gpu::tile_of(rows, p.causal), gpu::gpu_stream(call));
  }

 private:
  enum { kQ, kK, kV, kQueries, kKeys, kOut, kLse };
};

}  // namespace

Entry varlen_attention_entry() {
  return gpu::for_attention(entry<VarlenAttention>("VarlenAttention", "varlen_attention/1"));
}

}  // namespace graft
