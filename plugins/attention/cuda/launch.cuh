// launch_attention's definition, for the files that compile it.
#pragma once

#include "kernel.cuh"
#include "launch.h"
#include "merge.cuh"

namespace graft::gpu {

template <class T>
KernelArguments<T> arguments_of(const Problem& p) {
  const auto data = [](const Rows& rows) { return static_cast<T*>(const_cast<void*>(rows.data)); };
  KernelArguments<T> a;
  a.params.q = data(p.q);
  a.params.k = data(p.k);
  a.params.v = data(p.v);
  a.params.o = static_cast<T*>(p.splits > 1 ? p.parts : p.out);
  a.params.lse = p.splits > 1 ? p.part_lse : nullptr;
  a.params.partition_kv = p.splits > 1;
  a.params.group_size = flashinfer::uint_fastdiv(p.group());
  a.params.num_qo_heads = p.query_heads;
  a.params.num_kv_heads = p.key_heads;
  a.params.qo_len = p.queries;
  a.params.kv_len = p.keys;
  a.params.q_stride_n = p.q.token;
  a.params.q_stride_h = p.q.head;
  a.params.k_stride_n = p.k.token;
  a.params.k_stride_h = p.k.head;
  a.params.v_stride_n = p.v.token;
  a.params.v_stride_h = p.v.head;
  a.params.window_left = int32_t(p.window);
  a.params.logits_soft_cap = p.softcap;
  a.params.sm_scale = p.scale;
  a.q_batch = p.q.batch;
  a.k_batch = p.k.batch;
  a.v_batch = p.v.batch;
  a.first_query = p.first_query;
  a.first_key = p.first_key;
  a.batch = p.batch;
  return a;
}

template <class KTraits, class T = typename KTraits::DTypeQ>
void launch_kernel(const Problem& problem, Stream stream) {
  static_assert(!KTraits::IsInvalid());
  constexpr int shared = sizeof(typename KTraits::SharedStorage);
  const auto kernel = attention_kernel<KTraits>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "asking for shared memory");
  const int64_t full = ceil_divide(int64_t(problem.queries) * problem.group(), KTraits::CTA_TILE_Q);
  const bool unequal = problem.first_query != nullptr;  // then each sequence may end in a tile that is not full
  const dim3 grid(uint32_t(unequal ? full + problem.batch : full), problem.splits,
                  unequal ? problem.key_heads : problem.batch * problem.key_heads);
  const dim3 block(32, KTraits::NUM_WARPS_Q, KTraits::NUM_WARPS_KV);
  kernel<<<grid, block, shared, stream>>>(arguments_of<T>(problem));
  check_launch();
}

template <class T, int D>
void launch_attention(const Problem& problem, uint32_t tile, Stream stream) {
  const auto launch = [&]<bool kSoftcap>() {
    if (tile == kDecodeTile) return launch_kernel<Traits<T, D, kDecodeTile, true, kSoftcap>>(problem, stream);
    if (problem.causal) return launch_kernel<Traits<T, D, kTile, true, kSoftcap>>(problem, stream);
    launch_kernel<Traits<T, D, kTile, false, kSoftcap>>(problem, stream);
  };
  if (problem.softcap > 0)
    launch.template operator()<true>();
  else
    launch.template operator()<false>();

  if (problem.splits > 1) {
    const uint32_t rows = problem.batch * problem.queries * problem.query_heads;
    merge_parts<T, D><<<uint32_t(ceil_divide(rows, kMergeRows)), dim3(32, kMergeRows), 0, stream>>>(
        static_cast<const T*>(problem.parts), problem.part_lse, static_cast<T*>(problem.out), rows, problem.query_heads,
        problem.splits);
    check_launch();
  }
}

}  // namespace graft::gpu
