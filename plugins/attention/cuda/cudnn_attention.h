// Attention that remembers what its gradients need, and those gradients, on cuDNN's fused kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "../../common/cuda/portability.h"
#include "../options.h"

namespace graft::gpu {

// All that cuDNN plans for. Strides in elements, in the order batch, heads, tokens; heads' rows are contiguous. out is
// [batch, queries, query heads, D], gradients have the shape of what they are of, and all of these are contiguous.
struct CudnnShape {
  using Strides = std::array<int64_t, 3>;
  // Sequences one behind the other: `queries` and `keys` are at least the tokens of all, and strides of batches say nothing.
  bool packed = false;
  int64_t batch = 0, query_heads = 0, key_heads = 0, queries = 0, keys = 0, head_dimension = 0;
  Strides q = {}, k = {}, v = {};
  int64_t window;  // 0: none
  float scale;
  bool causal;         // the last query stands beside the last key
  bool bf16;           // else float16
  bool deterministic;  // the same bits from each backward
  int device;          // current

  auto operator<=>(const CudnnShape&) const = default;

  // All but sizes and strides.
  CudnnShape(const AttentionOptions& options, const plugin::Tensor& q, bool deterministic)
      : window(options.window),
        scale(float(options.scale)),
        causal(options.causal),
        bf16(plugin::same(q.dtype(), plugin::bfloat16)),
        deterministic(deterministic),
        device(q.device().id) {}
};

// Whether cuDNN has kernels for such a shape on some device, as far as that can be told without it.
bool cudnn_may_serve(const CudnnShape& shape);

// Workspace for a shape, bytes: grows with every dimension, and no plan is taken that wants more.
size_t cudnn_forward_workspace(const CudnnShape& shape);
size_t cudnn_backward_workspace(const CudnnShape& shape);

// Where packed sequences stand, on the device: [batch] lengths, and [batch + 1] offsets in elements of the first of each and of
// the end, in each of the tensors. Those of out are those of the gradient of q too.
struct CudnnSequences {
  int32_t *query_lengths, *key_lengths, *q, *k, *v, *out, *lse, *grad_keys;
};

// Both passes, planned for one shape. Immutable; any thread may run it, on the device that was current when it was made.
class CudnnAttention {
 public:
  // Planned when a shape is first met, which takes cuDNN 0.15 s and more; known from then on. Throws plugin::Unsupported where
  // cuDNN is missing or has no kernel.
  static std::shared_ptr<const CudnnAttention> of(const CudnnShape& shape);

  // lse: [batch, query heads, queries] in float32, or [tokens, query heads] if packed.
  struct Forward {
    const void *q, *k, *v;
    void *out, *lse;
  };
  struct Backward {
    const void *q, *k, *v, *out, *lse, *grad_out;
    void *grad_q, *grad_k, *grad_v;  // all of them are written
  };
  // sequences: for a packed shape.
  void run(Stream stream, const Forward& tensors, void* workspace, const CudnnSequences* sequences = nullptr) const;
  void run(Stream stream, const Backward& tensors, void* workspace, const CudnnSequences* sequences = nullptr) const;

  struct Graphs;  // cuDNN's
  explicit CudnnAttention(std::unique_ptr<const Graphs> graphs);
  ~CudnnAttention();

 private:
  std::unique_ptr<const Graphs> graphs_;
};

}  // namespace graft::gpu
