// The kernel: one tile of queries of one key head against (a part of) its keys. Multiplication, online softmax and the pipeline
// of copies are FlashInfer's, as a device function; here is what it does not know: batches, sequences of unequal lengths, keys
// before a sliding window, queries without keys.
#pragma once

#include <cstdint>
#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/prefill.cuh>

#include "plan.h"
#include "scores.cuh"
#include "sequences.cuh"

namespace graft::gpu {

// Number of 16-key products that a warp keeps in registers and shared memory: what lets two blocks or more run on a
// multiprocessor with 164 KiB (A100) or 228 KiB (H100, B200), and one where there are 100 KiB.
template <int D, uint32_t kTileQueries>
inline constexpr uint32_t kKeyProducts = kTileQueries == kTile || D == 64 ? 4 : 2;

template <class T, int D, uint32_t kTileQueries, bool kCausal, bool kSoftcap>
using Traits = flashinfer::KernelTraits<kCausal ? flashinfer::MaskMode::kCausal : flashinfer::MaskMode::kNone, kTileQueries,
                                        flashinfer::get_num_mma_q(kTileQueries), kKeyProducts<D, kTileQueries>, D / 16, D / 16,
                                        flashinfer::get_num_warps_q(kTileQueries), flashinfer::get_num_warps_kv(kTileQueries),
                                        flashinfer::PosEncodingMode::kNone, T, T, T, float, int32_t, Scores<kSoftcap>>;

template <class T>
struct KernelArguments {
  flashinfer::SinglePrefillParams<T, T, T> params;  // of the first sequence
  int64_t q_batch, k_batch, v_batch;                // strides in elements
  const int32_t* first_query;                       // null: all sequences have as many tokens
  const int32_t* first_key;
  uint32_t batch;
};

// Grid: (tiles, parts of the keys, batch * key heads), the tiles of all sequences if they are of unequal lengths, then without
// the batch in the third. Block: (32, warps over queries, warps over keys).
template <class KTraits, class T = typename KTraits::DTypeQ>
__global__ __launch_bounds__(KTraits::NUM_THREADS) void attention_kernel(const __grid_constant__ KernelArguments<T> arguments) {
  constexpr bool kCausal = KTraits::MASK_MODE == flashinfer::MaskMode::kCausal;
  constexpr uint32_t kTileQueries = KTraits::CTA_TILE_Q;
  extern __shared__ __align__(16) uint8_t attention_shared[];
  auto params = arguments.params;
  const uint32_t group = params.group_size, key_heads = params.num_kv_heads;
  const uint32_t row = params.num_qo_heads * KTraits::HEAD_DIM_VO;  // elements of out, a token's

  uint32_t tile, key_head;
  if (arguments.first_query != nullptr) {
    const SequenceTile found = find_tile<kTileQueries>(arguments.first_query, arguments.batch, group, blockIdx.x);
    if (found.sequence == arguments.batch) return;
    tile = found.tile;
    key_head = blockIdx.z;
    const uint32_t query = arguments.first_query[found.sequence], key = arguments.first_key[found.sequence];
    params.qo_len = arguments.first_query[found.sequence + 1] - query;
    params.kv_len = arguments.first_key[found.sequence + 1] - key;
    params.q += int64_t(query) * params.q_stride_n;
    params.k += int64_t(key) * params.k_stride_n;
    params.v += int64_t(key) * params.v_stride_n;
    params.o += int64_t(query) * row;
  } else {
    // The last tile has most keys to see: it starts first, so that no long one is left over at the end.
    tile = gridDim.x - 1 - blockIdx.x;
    const int64_t batch = blockIdx.z / key_heads;
    key_head = blockIdx.z % key_heads;
    params.q += batch * arguments.q_batch;
    params.k += batch * arguments.k_batch;
    params.v += batch * arguments.v_batch;
    params.o += batch * params.qo_len * gridDim.y * row;
    if (params.partition_kv) params.lse += batch * params.qo_len * gridDim.y * params.num_qo_heads;
  }

  const uint32_t blind = params.kv_len == 0                         ? params.qo_len
                         : kCausal && params.kv_len < params.qo_len ? params.qo_len - params.kv_len
                                                                    : 0;
  if (blind > 0) {
    clear_rows<KTraits::HEAD_DIM_VO>(params.o + key_head * group * KTraits::HEAD_DIM_VO, row, params.group_size,
                                     tile * kTileQueries, min((tile + 1) * kTileQueries, blind * group));
    params.q += blind * params.q_stride_n;
    params.o += blind * row;
    params.qo_len -= blind;
    if (tile * kTileQueries >= params.qo_len * group) return;
  }

  // Keys before the window of the tile's first query. The last key stays the last, which is what positions are counted from.
  const uint32_t position = params.kv_len + tile * kTileQueries / params.group_size, before = params.qo_len + params.window_left;
  const uint32_t skipped = position > before ? position - before : 0;
  params.k += skipped * params.k_stride_n;
  params.v += skipped * params.v_stride_n;
  params.kv_len -= skipped;

  flashinfer::SinglePrefillWithKVCacheDevice<KTraits>(params,
                                                      *reinterpret_cast<typename KTraits::SharedStorage*>(attention_shared),
                                                      threadIdx, tile, blockIdx.y, key_head, gridDim.y, key_heads);
}

}  // namespace graft::gpu
