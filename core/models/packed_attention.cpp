#include "packed_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "layers.h"

namespace graft {
namespace {

/// keys_and_values(b): those of sequence b, [S, K, D] and [S, K, V].
template <class Source>
at::Tensor attend_each(const at::Tensor& q, const at::Tensor& cu_seqlens_q, int64_t value_dim, double scale, int64_t window,
                       bool fused, const Source& keys_and_values) {
  const at::Tensor ends = cu_seqlens_q.cpu();
  const auto* end = ends.const_data_ptr<int32_t>();
  const auto as_batch = [](const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  std::vector<at::Tensor> outs;
  for (int64_t b = 0; b + 1 < ends.numel(); ++b) {
    const int64_t queries = end[b + 1] - end[b];
    if (queries == 0) continue;
    const auto [k, v] = keys_and_values(b);
    outs.push_back(k.size(0) == 0 ? at::zeros({queries, q.size(1), value_dim}, q.options())
                                  : attention_forward(as_batch(q.narrow(0, end[b], queries)), as_batch(k), as_batch(v),
                                                      /*mask=*/{}, scale, window, fused)
                                        .squeeze(0));
  }
  return outs.empty() ? at::zeros({0, q.size(1), value_dim}, q.options()) : at::cat(outs);
}

}  // namespace

at::Tensor varlen_attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k, double scale,
                                    int64_t window, bool fused) {
  const at::Tensor ends = cu_seqlens_k.cpu();
  const auto* end = ends.const_data_ptr<int32_t>();
  return attend_each(q, cu_seqlens_q, v.size(2), scale, window, fused, [&](int64_t b) {
    return std::pair(k.narrow(0, end[b], end[b + 1] - end[b]), v.narrow(0, end[b], end[b + 1] - end[b]));
  });
}

at::Tensor paged_attention_forward(const at::Tensor& q, const at::Tensor& k_pages, const at::Tensor& v_pages,
                                   const at::Tensor& block_table, const at::Tensor& seqlens_k,
                                   const at::Tensor& cu_seqlens_q, double scale, int64_t window, bool fused) {
  const at::Tensor lengths = seqlens_k.cpu();
  const int64_t page_tokens = k_pages.size(1);
  return attend_each(q, cu_seqlens_q, v_pages.size(3), scale, window, fused, [&](int64_t b) {
    const int64_t keys = lengths.const_data_ptr<int32_t>()[b];
    const at::Tensor pages = block_table.select(0, b).narrow(0, 0, (keys + page_tokens - 1) / page_tokens);
    const auto gathered = [&](const at::Tensor& from) { return from.index_select(0, pages).flatten(0, 1).narrow(0, 0, keys); };
    return std::pair(gathered(k_pages), gathered(v_pages));
  });
}

}  // namespace graft
