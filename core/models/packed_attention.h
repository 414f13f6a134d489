// Attention over packed sequences and over pages in plain LibTorch: one sequence after the other.
#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// The contract varlen_attention/1, causal and without softcap: q [N, Q, D], k [M, K, D] and v [M, K, V], cu_seqlens_q and
/// cu_seqlens_k [sequences + 1] int32. Returns [N, Q, V]. `window` and `fused`: as attention_forward's.
at::Tensor varlen_attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k, double scale,
                                    int64_t window, bool fused);

/// The contract paged_attention/1, likewise: k_pages [P, L, K, D], v_pages [P, L, K, V], block_table [sequences, X] int32,
/// seqlens_k [sequences] int32. Each sequence's keys and values are gathered first.
at::Tensor paged_attention_forward(const at::Tensor& q, const at::Tensor& k_pages, const at::Tensor& v_pages,
                                   const at::Tensor& block_table, const at::Tensor& seqlens_k,
                                   const at::Tensor& cu_seqlens_q, double scale, int64_t window, bool fused);

}  // namespace graft
