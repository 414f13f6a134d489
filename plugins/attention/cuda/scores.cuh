// From a product of query and key to a score, and which keys a query sees: FlashInfer's hooks for both.
#pragma once

#include <cstdint>
#include <flashinfer/attention/variant_helper.cuh>
#include <flashinfer/math.cuh>

namespace graft::gpu {

template <bool kSoftcap>
struct Scores : flashinfer::AttentionVariantBase {
  uint32_t qo_len, kv_len, window_left;
  float sm_scale_log2;  // what a score is multiplied with, exponentials being taken with base 2
  float before_tanh;

  template <class Params>
  __device__ __host__ Scores(const Params& params, uint32_t, uint8_t*)
      : qo_len(params.qo_len), kv_len(params.kv_len), window_left(params.window_left) {
    const float log2e = flashinfer::math::log2e;
    sm_scale_log2 = log2e * (kSoftcap ? params.logits_soft_cap : params.sm_scale);
    before_tanh = kSoftcap ? 2 * log2e * params.sm_scale / params.logits_soft_cap : 0;
  }

  // tanh(x) = 1 - 2 / (1 + exp(2 x)) errs by 1e-7 or so. The hardware's own tanh errs by 5e-4, which a softcap of 50 turns into
  // 2 % of a probability.
  template <class Params, class T>
  __device__ __forceinline__ T LogitsTransform(const Params&, T product, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t) const {
    if constexpr (kSoftcap) {
      const float e = flashinfer::math::ptx_exp2(product * before_tanh);
      return 1 - 2 * flashinfer::math::ptx_rcp(1 + e);
    } else {
      return product;
    }
  }

  // Causality and the last key are looked after by FlashInfer.
  template <class Params>
  __device__ __forceinline__ bool LogitsMask(const Params&, uint32_t, uint32_t query, uint32_t key, uint32_t, uint32_t) const {
    return key + qo_len + window_left >= kv_len + query;
  }
};

}  // namespace graft::gpu
