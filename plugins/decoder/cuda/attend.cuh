// One new token's attention over a KV cache that it joins: norm and rotary embedding of q and k, the new key and value into the cache,
// softmax over all keys, in one kernel. Scores and sums in float. Source: rotary_pos_emb.h, attention.h of the contracts; the online
// softmax of Milakov and Gimelshein 2018, arXiv:1805.02867; keys split among blocks as in Flash-Decoding (Dao et al. 2023).
#pragma once

#include <cooperative_groups.h>

#include "../../common/cuda/chain.cuh"
#include "../../common/cuda/vector.cuh"

namespace graft::gpu {

template <class T>
struct Attending {
  const T* qkv;                  // [B, (Q + 2 K) * D], as projected
  const T *q_gain, *k_gain;      // [D]; null: no norm
  const T *cos, *sin;            // [M, D], by position
  const int* length;             // [B]: keys that are in the cache
  T *keys, *values;              // [B, K, M, D]
  int64_t key_strides[3], value_strides[3];  // of B, K and M, in elements
  T* out;                        // [B, Q * D]
  float eps, scale;
  int heads, key_heads, capacity, window;
};

// What a lane group, a warp and a block know of their keys: the largest score, the sum of exp2(score - largest), and that of the values.
template <int kGroup>
struct Softmax {
  float largest[kGroup], sum[kGroup];
};

__device__ inline float weight_of(float largest, float common) { return largest == -INFINITY ? 0.f : exp2f(largest - common); }

// What a lane needs of its elements of a head, lane + 32 r.
template <class T, int kDim>
struct HeadConstants {
  static constexpr int kPerLane = kDim / 32;
  float cos[kPerLane], sin[kPerLane], q_gain[kPerLane], k_gain[kPerLane];

  // These do not depend on what the kernel before writes.
  __device__ HeadConstants(const Attending<T>& p, int position) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < kPerLane; ++r) {
      const int64_t at = int64_t(position) * kDim + lane + 32 * r;
      cos[r] = to_float(p.cos[at]);
      sin[r] = to_float(p.sin[at]);
      q_gain[r] = p.q_gain != nullptr ? to_float(p.q_gain[lane + 32 * r]) : 1.f;
      k_gain[r] = p.k_gain != nullptr ? to_float(p.k_gain[lane + 32 * r]) : 1.f;
    }
  }
};

// q, k and v of this block's heads as float in shared memory: row i < heads per key head: q, scaled; then k, then v.
template <class T, int kDim>
__device__ void prepare_heads(const Attending<T>& p, const HeadConstants<T, kDim>& constants, int heads_per_key, int position,
                              bool owns_new_key, float (*prepared)[kDim]) {
  constexpr int kPerLane = kDim / 32;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32, key_head = blockIdx.y, row = blockIdx.z;
  const T* qkv = p.qkv + int64_t(row) * (p.heads + 2 * p.key_heads) * kDim;
  for (int i = warp; i < heads_per_key + 2; i += warps) {
    const bool is_q = i < heads_per_key, is_v = i == heads_per_key + 1;
    const int head = is_q ? key_head * heads_per_key + i : p.heads + (is_v ? p.key_heads : 0) + key_head;
    float x[kPerLane], squares = 0;
#pragma unroll
    for (int r = 0; r < kPerLane; ++r) {
      x[r] = to_float(__ldcg(qkv + head * kDim + lane + 32 * r));
      squares += x[r] * x[r];
    }
    if (!is_v) {
      if ((is_q ? p.q_gain : p.k_gain) != nullptr) {
        const float rstd = rsqrtf(group_sum<32>(squares) / kDim + p.eps);
#pragma unroll
        for (int r = 0; r < kPerLane; ++r) x[r] = rounded<T>(x[r] * rstd * (is_q ? constants.q_gain[r] : constants.k_gain[r]));
      }
      float turned[kPerLane];
#pragma unroll
      for (int r = 0; r < kPerLane; ++r) {
        const float partner = r < kPerLane / 2 ? -x[r + kPerLane / 2] : x[r - kPerLane / 2];
        turned[r] = rounded<T>(rounded<T>(x[r] * constants.cos[r]) + rounded<T>(partner * constants.sin[r]));
      }
#pragma unroll
      for (int r = 0; r < kPerLane; ++r) x[r] = turned[r];
    }
#pragma unroll
    for (int r = 0; r < kPerLane; ++r) prepared[i][lane + 32 * r] = is_q ? x[r] * p.scale * 1.4426950408889634f : x[r];
    if (is_q || !owns_new_key) continue;
    const int64_t(&strides)[3] = is_v ? p.value_strides : p.key_strides;
    T* to = (is_v ? p.values : p.keys) + row * strides[0] + key_head * strides[1] + position * strides[2];
#pragma unroll
    for (int r = 0; r < kPerLane; ++r) to[lane + 32 * r] = from_float<T>(x[r]);
  }
}

// Grid: (splits, K, B), a cluster being the splits of a key head. kGroup: at least the query heads of a key head.
template <class T, int kDim, int kGroup, int kWarps>
__global__ void __launch_bounds__(kWarps * 32) attend(const __grid_constant__ Attending<T> p) {
  constexpr int kLanes = kDim / kEight, kKeys = 32 / kLanes;  // lanes of a key; keys of a warp at once
  constexpr int kStep = kWarps * kKeys;
  __shared__ float prepared[kGroup + 2][kDim];
  __shared__ float warp_values[kWarps][kGroup][kDim];
  __shared__ Softmax<kGroup> warp_softmax[kWarps], block_softmax;
  __shared__ float block_values[kGroup][kDim];

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = lane % kLanes;
  const int split = blockIdx.x, splits = gridDim.x, key_head = blockIdx.y, row = blockIdx.z;
  const int heads_per_key = p.heads / p.key_heads;

  // Of keys that earlier steps wrote the first are asked for at once.
  const int position = min(p.length[row], p.capacity - 1), begin = p.window > 0 ? max(0, position + 1 - p.window) : 0;
  const int share = (position + 1 - begin + splits - 1) / splits;
  const int first = begin + split * share, last = min(first + share, position + 1);
  const T* keys = p.keys + row * p.key_strides[0] + key_head * p.key_strides[1] + part * kEight;
  const T* values = p.values + row * p.value_strides[0] + key_head * p.value_strides[1] + part * kEight;
  constexpr int kAtOnce = kGroup > 4 ? 1 : 2;  // keys of a lane group whose loads are under way together
  int key = first + warp * kKeys + lane / kLanes;
  Eight<T> k[kAtOnce], v[kAtOnce];
  const auto load = [&](int from) {
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int which = from + i * kStep;
      if (which >= last || which >= position) continue;
      k[i] = load_written(keys + which * p.key_strides[2]);
      v[i] = load_written(values + which * p.value_strides[2]);
    }
  };
  load(key);
  const HeadConstants<T, kDim> constants(p, position);
  let_next_start();
  wait_for_previous();
  prepare_heads<T, kDim>(p, constants, heads_per_key, position, first <= position && position < last, prepared);
  __syncthreads();

  float q[kGroup][kEight], made[kGroup][kEight] = {};
  Softmax<kGroup> softmax;
#pragma unroll
  for (int h = 0; h < kGroup; ++h) {
    softmax.largest[h] = -INFINITY;
    softmax.sum[h] = 0;
#pragma unroll
    for (int e = 0; e < kEight; ++e) q[h][e] = h < heads_per_key ? prepared[h][part * kEight + e] : 0.f;
  }
  for (int at = first + warp * kKeys; at < last; at += kAtOnce * kStep, key += kAtOnce * kStep) {  // the same for all lanes of a warp
    float key_now[kAtOnce][kEight], value_now[kAtOnce][kEight];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const bool is_new = key + i * kStep == position;
#pragma unroll
      for (int e = 0; e < kEight; ++e) {
        key_now[i][e] = is_new ? prepared[heads_per_key][part * kEight + e] : to_float(k[i].at[e]);
        value_now[i][e] = is_new ? prepared[heads_per_key + 1][part * kEight + e] : to_float(v[i].at[e]);
      }
    }
    load(key + kAtOnce * kStep);
#pragma unroll
    for (int h = 0; h < kGroup; ++h) {
      float score[kAtOnce], largest = softmax.largest[h];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        score[i] = 0;
#pragma unroll
        for (int e = 0; e < kEight; ++e) score[i] += q[h][e] * key_now[i][e];
#pragma unroll
        for (int offset = kLanes / 2; offset > 0; offset /= 2) score[i] += __shfl_xor_sync(0xffffffff, score[i], offset);
        if (key + i * kStep < last) largest = fmaxf(largest, score[i]);
      }
      const float before = weight_of(softmax.largest[h], largest);
      softmax.largest[h] = largest;
      softmax.sum[h] *= before;
#pragma unroll
      for (int e = 0; e < kEight; ++e) made[h][e] *= before;
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (key + i * kStep >= last) continue;
        const float now = exp2f(score[i] - largest);
        softmax.sum[h] += now;
#pragma unroll
        for (int e = 0; e < kEight; ++e) made[h][e] += now * value_now[i][e];
      }
    }
  }

  // The lane groups of a warp, …
#pragma unroll
  for (int h = 0; h < kGroup; ++h) {
#pragma unroll
    for (int offset = kLanes; offset < 32; offset *= 2) {
      const float other = __shfl_xor_sync(0xffffffff, softmax.largest[h], offset), common = fmaxf(softmax.largest[h], other);
      const float mine = weight_of(softmax.largest[h], common), theirs = weight_of(other, common);
      softmax.largest[h] = common;
      softmax.sum[h] = softmax.sum[h] * mine + __shfl_xor_sync(0xffffffff, softmax.sum[h], offset) * theirs;
#pragma unroll
      for (int e = 0; e < kEight; ++e) made[h][e] = made[h][e] * mine + __shfl_xor_sync(0xffffffff, made[h][e], offset) * theirs;
    }
    if (lane < kLanes) {
#pragma unroll
      for (int e = 0; e < kEight; ++e) warp_values[warp][h][part * kEight + e] = made[h][e];
    }
  }
  if (lane == 0) warp_softmax[warp] = softmax;
  __syncthreads();
  // … the warps of a block, …
  for (int i = threadIdx.x; i < heads_per_key * kDim; i += blockDim.x) {
    const int h = i / kDim, d = i % kDim;
    float common = -INFINITY, sum = 0, value = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) common = fmaxf(common, warp_softmax[w].largest[h]);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = weight_of(warp_softmax[w].largest[h], common);
      sum += weight * warp_softmax[w].sum[h];
      value += weight * warp_values[w][h][d];
    }
    block_values[h][d] = value;
    if (d == 0) block_softmax.largest[h] = common, block_softmax.sum[h] = sum;
  }
  // … and the blocks of a cluster.
  T* out = p.out + (int64_t(row) * p.heads + key_head * heads_per_key) * kDim;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (splits > 1) {
    namespace cg = cooperative_groups;
    const cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    for (int i = split * blockDim.x + threadIdx.x; i < heads_per_key * kDim; i += splits * blockDim.x) {
      const int h = i / kDim;
      float common = -INFINITY, sum = 0, value = 0;
      for (int s = 0; s < splits; ++s) common = fmaxf(common, cluster.map_shared_rank(&block_softmax, s)->largest[h]);
      for (int s = 0; s < splits; ++s) {
        const Softmax<kGroup>& theirs = *cluster.map_shared_rank(&block_softmax, s);
        const float weight = weight_of(theirs.largest[h], common);
        sum += weight * theirs.sum[h];
        value += weight * cluster.map_shared_rank(&block_values[0][0], s)[i];
      }
      out[i] = from_float<T>(value / sum);
    }
    cluster.sync();  // nobody's shared memory goes before all have read it
    return;
  }
#endif
  __syncthreads();
  for (int i = threadIdx.x; i < heads_per_key * kDim; i += blockDim.x) out[i] = from_float<T>(block_values[i / kDim][i % kDim] / block_softmax.sum[i / kDim]);
}

}  // namespace graft::gpu
