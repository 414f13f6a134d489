// Attention over a KV cache, prefill and decode, on FlashInfer's kernels for tensor cores.
//
// A block is a tile of queries of one key head, all query heads of its group among them, so that a key is loaded once for the
// group: 128 rows, or 16 where there are no more, as in decode. Where that makes too few blocks to fill the GPU, the keys are
// split as well and a second kernel puts the parts together (plan.h). All batches are one launch.
#include <graft/contracts/attention.h>

#include <graft/plugin.hpp>

#include "../entries.h"
#include "plan.h"
#include "served.h"

namespace graft {
namespace {

using namespace plugin;

struct Attention {
  AttentionOptions options;

  explicit Attention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes& attributes, Arguments arguments) {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV);
    return gpu::options_served(AttentionOptions(attributes)) && !arguments.has(kMask) && !arguments.has(kLse) &&
           heads_divide(q.size(1), k.size(1)) && gpu::head_dimension_served(k.size(3), v.size(3)) && gpu::rows_served(q, 2, 1) &&
           gpu::rows_served(k, 2, 1) && gpu::rows_served(v, 2, 1) && q.size(1) * q.size(2) * v.size(3) < int64_t{1} << 31 &&
           k.size(0) * k.size(1) <= kMostInGridZ;
  }

  // A bound that grows with every dimension; the splits themselves do not: fewer are made where there are more heads and queries.
  size_t workspace_size(Arguments arguments, uint32_t) const {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK);
    const int64_t splits = std::min(seen(k.size(2)) / gpu::kKeysPerSplit, gpu::kMostSplits);
    if (splits < 2) return 0;
    const int64_t rows = std::min(gpu::kBlocks * gpu::kTile, splits * q.size(0) * q.size(1) * q.size(2));
    return rows * (q.size(3) * sizeof(gpu::bf16) + sizeof(float));
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, std::optional<Tensor> mask, Tensor out,
               std::optional<Tensor> lse) const {
    if (mask || lse) throw Unsupported("a mask, or the log-sum-exp for backward");
    if (out.numel() == 0) return;
    gpu::Problem p = gpu::problem_of(options, q, k, v, out, 2, 1);
    p.batch = uint32_t(q.size(0));
    p.causal = options.causal || p.queries == 1;  // a single query stands beside the last key
    const int64_t rows = int64_t(p.queries) * p.group();
    const bool all_see = !p.causal || p.keys >= p.queries;
    if (all_see) p.splits = uint32_t(gpu::splits_of(p.batch, p.key_heads, rows, seen(p.keys), p.causal));
    if (p.splits > 1) {
      p.parts = call.workspace<void>();
      p.part_lse = reinterpret_cast<float*>(call.workspace<gpu::bf16>() + out.numel() * p.splits);
    }
    gpu::launch(p, q.dtype(), q.size(3), gpu::tile_of(rows, p.causal), gpu::gpu_stream(call));
  }

 private:
  enum { kQ, kK, kV, kMask, kOut, kLse };
  static constexpr int64_t kMostInGridZ = 65535;

  // The least number of keys that lie between the first of a tile's window and the last key.
  int64_t seen(int64_t keys) const { return options.window > 0 ? std::min(keys, options.window) : keys; }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_attention(graft::plugin::entry<graft::Attention>("Attention", "attention/1")),
             graft::varlen_attention_entry())
