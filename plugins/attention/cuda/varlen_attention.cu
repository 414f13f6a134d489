// Attention over sequences of unequal lengths without padding between them: the same kernels, each block of which looks up its
// own place in cu_seqlens, so that no length is needed on the host. There are as many blocks as the sequences may need at most.
// For gradients cuDNN is told where each sequence stands in each of the tensors, and plans for somewhat more tokens than there
// are, so that one plan serves batches of about the same size.
#include <graft/contracts/varlen_attention.h>

#include <bit>
#include <graft/plugin.hpp>

#include "../../common/cuda/pieces.h"
#include "../../common/cuda/wanted.h"
#include "../entries.h"
#include "cudnn_attention.h"
#include "plan.h"
#include "served.h"

namespace graft {
namespace {

using namespace plugin;

constexpr int kThreads = 256;

// Strides of tokens in elements.
struct TokenStrides {
  int32_t q, k, v, out, lse, grad_keys;
};

__global__ void place_sequences(const int32_t* first_query, const int32_t* first_key, int32_t count, TokenStrides strides,
                                gpu::CudnnSequences to) {
  for (int32_t i = int32_t(threadIdx.x); i <= count; i += kThreads) {
    const int32_t query = first_query[i], key = first_key[i];
    to.q[i] = query * strides.q;
    to.k[i] = key * strides.k;
    to.v[i] = key * strides.v;
    to.out[i] = query * strides.out;
    to.lse[i] = query * strides.lse;
    to.grad_keys[i] = key * strides.grad_keys;
    if (i == count) break;
    to.query_lengths[i] = first_query[i + 1] - query;
    to.key_lengths[i] = first_key[i + 1] - key;
  }
}

// out[c, r] = in[r, c]
__global__ void transpose(const float* in, float* out, int64_t rows, int64_t columns) {
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < rows * columns; i += int64_t(gridDim.x) * kThreads)
    out[i % columns * rows + i / columns] = in[i];
}

struct VarlenAttention {
  AttentionOptions options;

  explicit VarlenAttention(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes& attributes, Arguments arguments) {
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV);
    const AttentionOptions options(attributes);
    if (!heads_divide(q.size(1), k.size(1)) || !gpu::rows_served(q, 0, 1) || !gpu::rows_served(k, 0, 1) ||
        !gpu::rows_served(v, 0, 1) || q.numel() >= int64_t{1} << 31)
      return false;
    if (!arguments.has(kLse)) return gpu::options_served(options) && gpu::head_dimension_served(k.size(2), v.size(2));
    return options.softcap == 0 && k.size(2) == v.size(2) && k.numel() < int64_t{1} << 31 &&
           gpu::cudnn_may_serve(cudnn_shape(options, q, k, v, arguments.tensor(kQueries)));
  }

  size_t workspace_size(Arguments arguments, uint32_t) const {
    if (!arguments.has(kLse)) return 0;
    gpu::Pieces pieces;
    const gpu::CudnnShape shape = cudnn_shape(options, arguments);
    Scratch(pieces, shape, gpu::cudnn_forward_workspace(shape));
    return pieces.used();
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, Tensor cu_seqlens_q, Tensor cu_seqlens_k, Tensor out,
               std::optional<Tensor> lse) const {
    if (out.numel() == 0 || cu_seqlens_q.size(0) < 2) return;
    if (lse) return forward_for_gradients(call, q, k, v, cu_seqlens_q, cu_seqlens_k, out, *lse);
    gpu::Problem p = gpu::problem_of(options, q, k, v, out, 0, 1);
    p.first_query = cu_seqlens_q.data<int32_t>();
    p.first_key = cu_seqlens_k.data<int32_t>();
    p.batch = uint32_t(cu_seqlens_q.size(0) - 1);
    const int64_t rows = gpu::ceil_divide(p.queries, p.batch) * p.group();  // of a sequence of average length
    gpu::launch(p, q.dtype(), q.size(2), gpu::tile_of(rows, p.causal), gpu::gpu_stream(call));
  }

  // With room for gradients that nobody asks for: cuDNN writes all three.
  size_t backward_workspace_size(Arguments arguments, uint32_t) const {
    gpu::Pieces pieces;
    const gpu::CudnnShape shape = cudnn_shape(options, arguments);
    Scratch(pieces, shape, gpu::cudnn_backward_workspace(shape));
    for (int i : {kQ, kK, kV}) pieces.take<gpu::bf16>(size_t(arguments.tensor(i).numel()));
    return pieces.used();
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    const gpu::Stream stream = gpu::gpu_stream(call);
    const Tensor q = arguments.tensor(kQ), k = arguments.tensor(kK), v = arguments.tensor(kV), out = arguments.tensor(kOut),
                 lse = arguments.tensor(kLse);
    if (!grad_outputs.has(0) || out.numel() == 0 || arguments.tensor(kQueries).size(0) < 2) {
      for (int i : {kQ, kK, kV}) gpu::set_zero(stream, gpu::wanted(grad_inputs, needs, i));
      return;
    }
    const gpu::CudnnShape shape = cudnn_shape(options, arguments, call.deterministic());
    const auto attention = gpu::CudnnAttention::of(shape);
    gpu::Pieces pieces(call.workspace<void>());
    const Scratch scratch(pieces, shape, gpu::cudnn_backward_workspace(shape));
    scratch.place(stream, shape, arguments.tensor(kQueries), arguments.tensor(kKeys));
    transpose<<<kBlocks, kThreads, 0, stream>>>(lse.data<float>(), scratch.lse, lse.size(0), lse.size(1));
    const auto gradient = [&](int i) -> void* {
      const auto wanted = gpu::wanted(grad_inputs, needs, i);
      return wanted ? wanted->data<void>() : pieces.take<gpu::bf16>(size_t(arguments.tensor(i).numel()));
    };
    attention->run(stream,
                   gpu::CudnnAttention::Backward{q.data<void>(), k.data<void>(), v.data<void>(), out.data<void>(), scratch.lse,
                                                 grad_outputs.tensor(0).data<void>(), gradient(kQ), gradient(kK), gradient(kV)},
                   scratch.cudnn, &scratch.sequences);
  }

 private:
  enum { kQ, kK, kV, kQueries, kKeys, kOut, kLse };
  static constexpr int kBlocks = 256;

  // What a call for gradients has in its workspace.
  struct Scratch {
    void* cudnn;
    gpu::CudnnSequences sequences;
    float* lse;  // [tokens, query heads]

    Scratch(gpu::Pieces& pieces, const gpu::CudnnShape& shape, size_t cudnn_bytes) {
      cudnn = pieces.take<char>(cudnn_bytes);
      const auto numbers = [&] { return pieces.take<int32_t>(size_t(shape.batch + 1)); };
      sequences = {numbers(), numbers(), numbers(), numbers(), numbers(), numbers(), numbers(), numbers()};
      lse = pieces.take<float>(size_t(shape.queries * shape.query_heads));
    }

    void place(gpu::Stream stream, const gpu::CudnnShape& shape, const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k) const {
      constexpr size_t kTokens = 2;
      const TokenStrides strides{int32_t(shape.q[kTokens]),
                                 int32_t(shape.k[kTokens]),
                                 int32_t(shape.v[kTokens]),
                                 int32_t(shape.query_heads * shape.head_dimension),
                                 int32_t(shape.query_heads),
                                 int32_t(shape.key_heads * shape.head_dimension)};
      place_sequences<<<1, kThreads, 0, stream>>>(cu_seqlens_q.data<int32_t>(), cu_seqlens_k.data<int32_t>(), int32_t(shape.batch),
                                                  strides, sequences);
      gpu::check_launch();
    }
  };

  // Rounded up, by a quarter at most, so that one plan serves all of about the same size.
  static int64_t planned_tokens(int64_t tokens) {
    const auto step = std::max<int64_t>(128, int64_t(std::bit_ceil(uint64_t(tokens))) / 8);
    return (tokens + step - 1) / step * step;
  }

  static gpu::CudnnShape cudnn_shape(const AttentionOptions& options, const Tensor& q, const Tensor& k, const Tensor& v,
                                     const Tensor& cu_seqlens_q, bool deterministic = false) {
    // The stride of a dimension that has one place is free, and never stepped over.
    const auto strides = [](const Tensor& t) {
      const auto stride = [&](int dim, int64_t otherwise) { return t.size(dim) > 1 ? t.stride(dim) : otherwise; };
      return gpu::CudnnShape::Strides{0, stride(1, t.size(2)), stride(0, t.size(1) * t.size(2))};
    };
    gpu::CudnnShape shape(options, q, deterministic);
    shape.packed = true;
    shape.batch = std::max<int64_t>(0, cu_seqlens_q.size(0) - 1);
    shape.query_heads = q.size(1), shape.key_heads = k.size(1);
    shape.queries = planned_tokens(q.size(0)), shape.keys = planned_tokens(k.size(0));
    shape.head_dimension = q.size(2);
    shape.q = strides(q), shape.k = strides(k), shape.v = strides(v);
    return shape;
  }
  static gpu::CudnnShape cudnn_shape(const AttentionOptions& options, const Arguments& arguments, bool deterministic = false) {
    return cudnn_shape(options, arguments.tensor(kQ), arguments.tensor(kK), arguments.tensor(kV), arguments.tensor(kQueries),
                       deterministic);
  }

  void forward_for_gradients(const Call& call, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_seqlens_q,
                             const Tensor& cu_seqlens_k, const Tensor& out, const Tensor& lse) const {
    gpu::demand_alignment({q, k, v, out});
    const gpu::Stream stream = gpu::gpu_stream(call);
    const gpu::CudnnShape shape = cudnn_shape(options, q, k, v, cu_seqlens_q, call.deterministic());
    // Both passes are planned now, while the layer's own forward can still take over.
    const auto attention = gpu::CudnnAttention::of(shape);
    gpu::Pieces pieces(call.workspace<void>());
    const Scratch scratch(pieces, shape, gpu::cudnn_forward_workspace(shape));
    scratch.place(stream, shape, cu_seqlens_q, cu_seqlens_k);
    attention->run(stream,
                   gpu::CudnnAttention::Forward{q.data<void>(), k.data<void>(), v.data<void>(), out.data<void>(), scratch.lse},
                   scratch.cudnn, &scratch.sequences);
    transpose<<<kBlocks, kThreads, 0, stream>>>(scratch.lse, lse.data<float>(), lse.size(1), lse.size(0));
    gpu::check_launch();
  }
};

}  // namespace

Entry varlen_attention_entry() {
  return gpu::for_attention(entry<VarlenAttention>("VarlenAttention", "varlen_attention/1"));
}

}  // namespace graft
