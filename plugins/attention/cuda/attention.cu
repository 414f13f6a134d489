// Attention over a KV cache, prefill and decode, on FlashInfer's kernels for tensor cores.
//
// A block is a tile of queries of one key head, all query heads of its group among them, so that a key is loaded once for the
// group: 128 rows, or 16 where there are no more, as in decode. Where that makes too few blocks to fill the GPU, the keys are
// split as well and a second kernel puts the parts together (plan.h). All batches are one launch. A forward that gradients will
// be asked of runs on cuDNN, and so do the gradients.
#include <graft/contracts/attention.h>

#include <graft/plugin.hpp>

#include "../../common/cuda/wanted.h"
#include "../entries.h"
#include "cudnn_attention.h"
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
    const AttentionOptions options(attributes);
    if (arguments.has(kMask) || !heads_divide(q.size(1), k.size(1))) return false;
    if (arguments.has(kLse)) {
      return options.softcap == 0 && k.size(3) == v.size(3) &&
             gpu::cudnn_may_serve(cudnn_shape(options, q, k, v, /*deterministic=*/false));
    }
    return gpu::options_served(options) && gpu::head_dimension_served(k.size(3), v.size(3)) && gpu::rows_served(q, 2, 1) &&
           gpu::rows_served(k, 2, 1) && gpu::rows_served(v, 2, 1) && q.size(1) * q.size(2) * v.size(3) < int64_t{1} << 31 &&
           k.size(0) * k.size(1) <= kMostInGridZ;
  }

  // A bound that grows with every dimension; the splits themselves do not: fewer are made where there are more heads and queries.
  size_t workspace_size(Arguments arguments, uint32_t) const {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK);
    if (arguments.has(kLse)) return gpu::cudnn_forward_workspace(cudnn_shape(options, q, k, arguments.tensor(kV), false));
    const int64_t splits = std::min(seen(k.size(2)) / gpu::kKeysPerSplit, gpu::kMostSplits);
    if (splits < 2) return 0;
    const int64_t rows = std::min(gpu::kBlocks * gpu::kTile, splits * q.size(0) * q.size(1) * q.size(2));
    return rows * (q.size(3) * sizeof(gpu::bf16) + sizeof(float));
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, std::optional<Tensor> mask, Tensor out,
               std::optional<Tensor> lse) const {
    if (mask) throw Unsupported("a mask");
    if (out.numel() == 0) return;
    if (lse) return forward_for_gradients(call, q, k, v, out, *lse);
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

  // With room for gradients that nobody asks for: cuDNN writes all three.
  size_t backward_workspace_size(Arguments arguments, uint32_t) const {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV);
    return gpu::cudnn_backward_workspace(cudnn_shape(options, q, k, v, false)) + bytes(q) + bytes(k) + bytes(v);
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    const gpu::Stream stream = gpu::gpu_stream(call);
    if (!grad_outputs.has(0) || arguments.tensor(kOut).numel() == 0) {
      for (int i : {kQ, kK, kV}) gpu::set_zero(stream, gpu::wanted(grad_inputs, needs, i));
      return;
    }
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV), out = arguments.tensor(kOut),
                 grad_out = grad_outputs.tensor(0);
    const gpu::CudnnShape shape = cudnn_shape(options, q, k, v, call.deterministic());
    char* unwanted = call.workspace<char>() + gpu::cudnn_backward_workspace(shape);
    const auto place = [&](int i) -> void* {
      const auto gradient = gpu::wanted(grad_inputs, needs, i);
      return gradient ? gradient->data<void>() : std::exchange(unwanted, unwanted + bytes(arguments.tensor(i)));
    };
    gpu::CudnnAttention::of(shape)->run(
        stream,
        gpu::CudnnAttention::Backward{q.data<void>(), k.data<void>(), v.data<void>(), out.data<void>(),
                                      arguments.tensor(kLse).data<void>(), grad_out.data<void>(), place(kQ), place(kK), place(kV)},
        call.workspace<void>());
  }

 private:
  enum { kQ, kK, kV, kMask, kOut, kLse };
  static constexpr int64_t kMostInGridZ = 65535;

  // The least number of keys that lie between the first of a tile's window and the last key.
  int64_t seen(int64_t keys) const { return options.window > 0 ? std::min(keys, options.window) : keys; }

  static gpu::CudnnShape cudnn_shape(const AttentionOptions& options, const Tensor& q, const Tensor& k, const Tensor& v,
                                     bool deterministic) {
    // The stride of a dimension that has one place is free, and never stepped over.
    const auto strides = [](const Tensor& t) {
      const auto stride = [&](int dim) { return t.size(dim) > 1 ? t.stride(dim) : t.size(3); };
      return gpu::CudnnShape::Strides{stride(0), stride(1), stride(2)};
    };
    gpu::CudnnShape shape(options, q, deterministic);
    shape.batch = q.size(0), shape.query_heads = q.size(1), shape.key_heads = k.size(1);
    shape.queries = q.size(2), shape.keys = k.size(2), shape.head_dimension = q.size(3);
    shape.q = strides(q), shape.k = strides(k), shape.v = strides(v);
    return shape;
  }

  void forward_for_gradients(const Call& call, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                             const Tensor& lse) const {
    gpu::demand_alignment({q, k, v, out});
    // Both passes are planned now, while the layer's own forward can still take over.
    const auto attention = gpu::CudnnAttention::of(cudnn_shape(options, q, k, v, call.deterministic()));
    attention->run(gpu::gpu_stream(call),
                   gpu::CudnnAttention::Forward{q.data<void>(), k.data<void>(), v.data<void>(), out.data<void>(), lse.data<void>()},
                   call.workspace<void>());
  }

  static size_t bytes(const Tensor& tensor) { return size_t(tensor.numel()) * (tensor.dtype().bits / 8); }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_attention(graft::plugin::entry<graft::Attention>("Attention", "attention/1")),
             graft::varlen_attention_entry())
