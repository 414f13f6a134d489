// What the kernels serve of what the contracts allow, and tensors as they take them.
#pragma once

#include <graft/plugin.hpp>
#include <initializer_list>

#include "../options.h"
#include "launch.h"

namespace graft::gpu {

inline bool head_dimension_served(int64_t of_keys, int64_t of_values) {
  return of_keys == of_values && (of_keys == 64 || of_keys == 128);
}

// Maxima are taken before a score is scaled, so a scale must not turn their order.
inline bool options_served(const AttentionOptions& options) {
  return options.scale > 0;
}

// tokens, heads: the positions of these dimensions. Rows are copied 16 bytes at a time, and FlashInfer counts in 32 bits.
inline bool rows_served(const plugin::Tensor& tensor, int tokens, int heads) {
  constexpr int64_t kPiece = 8, kLargest = int64_t{1} << 31, kLargestStride = kLargest / 16;
  int64_t extent = 0;
  for (int dim = 0; dim < tensor.ndim() - 1; ++dim) {
    if (tensor.size(dim) <= 1) continue;
    if (tensor.stride(dim) < 0 || tensor.stride(dim) % kPiece != 0) return false;
    if (dim == tokens && (tensor.stride(dim) == 0 || tensor.stride(dim) >= kLargestStride)) return false;
    if (dim == tokens || dim == heads) extent += (tensor.size(dim) - 1) * tensor.stride(dim);
  }
  return extent < kLargest && tensor.size(tokens) < int64_t(kNoWindow) / 2;
}

// The stride of a dimension that has one place is free, and never stepped over.
inline Rows rows_of(const plugin::Tensor& tensor, int tokens, int heads) {
  const auto stride = [&](int dim) { return tensor.size(dim) > 1 ? tensor.stride(dim) : tensor.size(-1); };
  const bool batched = tensor.ndim() == 4;
  return {tensor.data<void>(), batched ? stride(0) : 0, uint32_t(stride(tokens)), uint32_t(stride(heads))};
}

// Pointers are known when the call comes, not before.
inline void demand_alignment(std::initializer_list<plugin::Tensor> tensors) {
  for (const plugin::Tensor& tensor : tensors) {
    if (reinterpret_cast<uintptr_t>(tensor.data<void>()) % 16 != 0)
      throw plugin::Unsupported("a tensor that does not begin at a multiple of 16 bytes");
  }
}

inline uint32_t window_of(const AttentionOptions& options) {
  return options.window > 0 ? uint32_t(std::min<int64_t>(options.window - 1, kNoWindow)) : kNoWindow;
}

// What both entries say of their tensors; tokens, heads: the positions of these dimensions.
inline Problem problem_of(const AttentionOptions& options, const plugin::Tensor& q, const plugin::Tensor& k, const plugin::Tensor& v,
                          const plugin::Tensor& out, int tokens, int heads) {
  demand_alignment({q, k, v, out});
  Problem p{};
  p.q = rows_of(q, tokens, heads);
  p.k = rows_of(k, tokens, heads);
  p.v = rows_of(v, tokens, heads);
  p.out = out.data<void>();
  p.query_heads = uint32_t(q.size(heads));
  p.key_heads = uint32_t(k.size(heads));
  p.queries = uint32_t(q.size(tokens));
  p.keys = uint32_t(k.size(tokens));
  p.window = window_of(options);
  p.scale = float(options.scale);
  p.softcap = float(options.softcap);
  p.causal = options.causal;
  p.splits = 1;
  return p;
}

inline void launch(const Problem& problem, graft_dtype dtype, int64_t head_dimension, uint32_t tile, Stream stream) {
  const auto with_dimension = [&]<class T>(T) {
    if (head_dimension == 64) return launch_attention<T, 64>(problem, tile, stream);
    launch_attention<T, 128>(problem, tile, stream);
  };
  if (plugin::same(dtype, plugin::bfloat16)) return with_dimension(bf16{});
  with_dimension(half{});
}

inline plugin::Entry for_attention(plugin::Entry entry) {
  return for_gpu(std::move(entry)).dtypes({plugin::bfloat16, plugin::float16}).flags(GRAFT_ENTRY_DETERMINISTIC);
}

}  // namespace graft::gpu
