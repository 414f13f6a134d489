// Gradients of RMSNorm, with or without the residual connection before it. With r = rstd and g = grad_out * weight:
//   grad_x = r g - x r^3 mean(g x) + grad_sum        grad_weight = sum over rows of grad_out x r
// grad_sum is what comes in through AddRMSNorm's second output. Blocks stay and take row after row, each with a sum of its own
// for grad_weight; a second kernel adds those up in their order, so the same inputs give the same bits.
#pragma once

#include <algorithm>

#include "../../common/cuda/pack.cuh"
#include "../../common/cuda/reduce.cuh"
#include "../../common/rows.h"
#include "weight_gradient.cuh"

namespace graft::gpu {

template <class T>
struct NormBackward {
  Rows<const T> x;
  const T* weight;
  const float* rstd;  // null: computed again
  const T* grad_out;
  const T* grad_sum;          // may be null
  T *grad_x, *grad_residual;  // may be null; they get the same
  float* partials;            // a row for each block
  float eps;
};

// What a thread has of one row, loaded before anything waits for it.
template <class T, int N, int V>
struct NormRow {
  Pack<T, N> x[V], grad[V];
  float rstd = 0.0f;

  // Pack v stands at column (v * lanes + lane) * N.
  __device__ __forceinline__ NormRow(const NormBackward<T>& a, int64_t row, bool there, int lane, int lanes) {
    const int width = int(a.x.width());
    const T *from = there ? a.x[row] : nullptr, *from_grad = a.grad_out + row * width;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * lanes + lane) * N;
      const bool in = there && column < width;
      x[v] = load_if<N>(in, from + column);
      grad[v] = load_if<N>(in, from_grad + column);
    }
    if (there) rstd = a.rstd[row];
  }

  // Its part of sum(g x); its part of grad_weight goes to `sums`.
  template <bool kWeight>
  __device__ __forceinline__ float dot(const Pack<T, N> (&weight)[V], float (&sums)[V][N]) const {
    float total = 0.0f;
#pragma unroll
    for (int v = 0; v < V; ++v)
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float product = float(grad[v].at[i]) * float(x[v].at[i]);
        if constexpr (kWeight) sums[v][i] = fmaf(product, rstd, sums[v][i]);
        total = fmaf(product, float(weight[v].at[i]), total);
      }
    return total;
  }

  // `total` is the whole row's sum(g x).
  __device__ __forceinline__ void write(const NormBackward<T>& a, int64_t row, int lane, int lanes, float total,
                                        const Pack<T, N> (&weight)[V]) const {
    const int width = int(a.x.width());
    const int64_t begin = row * width;
    const float pull = -rstd * rstd * rstd * total / float(width);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * lanes + lane) * N;
      if (column >= width) continue;
      const Pack<T, N> more = load_if<N>(a.grad_sum != nullptr, a.grad_sum + begin + column);
      float values[N];
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float own = float(grad[v].at[i]) * float(weight[v].at[i]) * rstd;
        values[i] = fmaf(float(x[v].at[i]), pull, own) + float(more.at[i]);
      }
      const Pack<T, N> out = rounded<T>(values);
      if (a.grad_x != nullptr) store(a.grad_x + begin + column, out);
      if (a.grad_residual != nullptr) store(a.grad_residual + begin + column, out);
    }
  }
};

// 3 blocks at once leave a thread 85 registers; with 4 it would spill.
inline constexpr int kBackwardThreads = 256, kBackwardBlocks = 3;

// G lanes with V packs each for a row, R rows in flight.
template <class T, int G, int V, int R, bool kWeight>
__global__ void __launch_bounds__(kBackwardThreads, kBackwardBlocks) norm_backward_groups(NormBackward<T> a) {
  constexpr int N = kPack<T>, kGroups = kBackwardThreads / G, kWarps = kBackwardThreads / kWarp;
  const int64_t rows = a.x.count();
  const int width = int(a.x.width()), lane = threadIdx.x % G, group = threadIdx.x / G;
  Pack<T, N> weight[V];
  float sums[V][N] = {};
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int column = (v * G + lane) * N;
    weight[v] = load_if<N>(column < width, a.weight + column);
  }
  const auto take = [&](const NormRow<T, N, V>& row, int64_t index) {
    const float total = group_sum<G>(row.template dot<kWeight>(weight, sums));
    if (index < rows) row.write(a, index, lane, G, total, weight);
  };
  for (int64_t base = int64_t(blockIdx.x) * (kGroups * R); base < rows; base += int64_t(gridDim.x) * (kGroups * R)) {
    const int64_t first = base + group, second = first + kGroups;
    const NormRow<T, N, V> row(a, first, first < rows, lane, G);
    if constexpr (R == 2) {
      const NormRow<T, N, V> next(a, second, second < rows, lane, G);
      take(row, first);
      take(next, second);
    } else {
      take(row, first);
    }
  }
  if constexpr (kWeight) {
    __shared__ float shared[kWarps][V][N][G];
#pragma unroll
    for (int v = 0; v < V; ++v)
#pragma unroll
      for (int i = 0; i < N; ++i) {
#pragma unroll
        for (int mask = G; mask < kWarp; mask *= 2) sums[v][i] += from_lane_xor(sums[v][i], mask);
        if (int(threadIdx.x) % kWarp < G) shared[threadIdx.x / kWarp][v][i][lane] = sums[v][i];
      }
    __syncthreads();
    for (int column = threadIdx.x; column < width; column += kBackwardThreads) {
      const int pack = column / N;
      float sum = 0.0f;
      for (int warp = 0; warp < kWarps; ++warp) sum += shared[warp][pack / G][column % N][pack % G];
      a.partials[int64_t(blockIdx.x) * width + column] = sum;
    }
  }
}

// A block for a row, V packs a thread; the next row is on its way while this one is summed.
template <class T, int V, bool kWeight>
__global__ void __launch_bounds__(kMaxThreads) norm_backward_blocks(NormBackward<T> a) {
  constexpr int N = kPack<T>;
  __shared__ float shared[2][kMaxWarps];
  const int64_t rows = a.x.count();
  const int width = int(a.x.width()), lane = threadIdx.x, lanes = blockDim.x;
  float sums[V][N] = {};
  int turn = 0;
  const auto take = [&](const NormRow<T, N, V>& row, int64_t index) {
    Pack<T, N> weight[V];  // from the L1 cache each time: registers are short
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * lanes + lane) * N;
      weight[v] = load_if<N>(column < width, a.weight + column);
    }
    const float total = block_sum(row.template dot<kWeight>(weight, sums), shared[turn]);
    turn ^= 1;
    row.write(a, index, lane, lanes, total, weight);
  };
  int64_t index = blockIdx.x;
  if constexpr (V == 1) {
    NormRow<T, N, V> row(a, index, index < rows, lane, lanes);
    while (index < rows) {
      const int64_t following = index + gridDim.x;
      const NormRow<T, N, V> next(a, following, following < rows, lane, lanes);
      take(row, index);
      row = next;
      index = following;
    }
  } else {
    for (; index < rows; index += gridDim.x) take(NormRow<T, N, V>(a, index, true, lane, lanes), index);
  }
  if constexpr (kWeight) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * lanes + lane) * N;
      if (column >= width) continue;
      float* to = a.partials + int64_t(blockIdx.x) * width + column;
#pragma unroll
      for (int i = 0; i < N; ++i) to[i] = sums[v][i];
    }
  }
}

// Any width and alignment, an element at a time; a row is read twice, and thrice if rstd is not known.
template <class T, bool kWeight>
__global__ void __launch_bounds__(kMaxThreads) norm_backward_elements(NormBackward<T> a) {
  __shared__ float shared[3][kMaxWarps];
  const int64_t rows = a.x.count(), width = a.x.width();
  float* partial = kWeight ? a.partials + blockIdx.x * width : nullptr;
  int turn = 0;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T *x = a.x[row], *grad = a.grad_out + row * width;
    float rstd = 0.0f;
    if (a.rstd != nullptr) {
      rstd = a.rstd[row];
    } else {
      float squares = 0.0f;
      for (int64_t i = threadIdx.x; i < width; i += blockDim.x) squares = fmaf(float(x[i]), float(x[i]), squares);
      rstd = rsqrtf(block_sum(squares, shared[2]) / float(width) + a.eps);
    }
    float total = 0.0f;
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float product = float(grad[i]) * float(x[i]);
      if constexpr (kWeight) partial[i] = fmaf(product, rstd, row == blockIdx.x ? 0.0f : partial[i]);
      total = fmaf(product, float(a.weight[i]), total);
    }
    const float pull = -rstd * rstd * rstd * block_sum(total, shared[turn]) / float(width);
    turn ^= 1;
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      float out = fmaf(float(x[i]), pull, float(grad[i]) * float(a.weight[i]) * rstd);
      if (a.grad_sum != nullptr) out += float(a.grad_sum[row * width + i]);
      if (a.grad_x != nullptr) a.grad_x[row * width + i] = T(out);
      if (a.grad_residual != nullptr) a.grad_residual[row * width + i] = T(out);
    }
  }
}

// grad_weight may be null; rows and width are at least 1.
template <bool kWeight, class T>
void norm_backward(Stream stream, const NormBackward<T>& a, T* grad_weight) {
  const int64_t rows = a.x.count(), width = a.x.width();
  constexpr int N = kPack<T>;
  const bool packed = a.rstd != nullptr && width % N == 0 && a.x.aligned(16) &&
                      aligned16(a.weight, a.grad_out, a.grad_sum, a.grad_x, a.grad_residual);
  const int64_t packs = width / N;
  int64_t blocks = 0;
  // As many blocks as are at work at once, each with at least four turns where it sums for grad_weight.
  const auto plan = [&](int64_t rows_at_once, int64_t blocks_at_once) {
    const int64_t turns = (rows + rows_at_once - 1) / rows_at_once, at_once = multiprocessors() * blocks_at_once;
    blocks = std::min({kWeight ? (turns + 3) / 4 : turns, at_once, kWeight ? most_partials(width) : at_once});
    return unsigned(blocks);
  };
  const auto in_groups = [&]<int G, int V, int R>() {
    const unsigned count = plan(kBackwardThreads / G * R, kBackwardBlocks);
    norm_backward_groups<T, G, V, R, kWeight><<<count, kBackwardThreads, 0, stream>>>(a);
  };
  const auto in_blocks = [&]<int V>() {
    const int threads = whole_warps((packs + V - 1) / V);
    norm_backward_blocks<T, V, kWeight><<<plan(1, kMaxThreads / threads), threads, 0, stream>>>(a);
  };
  if (!packed || packs > (sizeof(T) == 4 ? 4 : 2) * kMaxThreads) {
    const int threads = whole_warps(std::min<int64_t>(width, kMaxThreads));
    norm_backward_elements<T, kWeight><<<plan(1, kMaxThreads / threads), threads, 0, stream>>>(a);
  } else if (packs <= 8) {
    in_groups.template operator()<8, 1, 2>();
  } else if (packs <= 16) {
    in_groups.template operator()<16, 1, 2>();
  } else if (packs <= 32) {
    in_groups.template operator()<32, 1, 2>();
  } else if (packs <= 64) {
    in_groups.template operator()<32, 2, 1>();
  } else if (packs <= kMaxThreads) {
    in_blocks.template operator()<1>();
  } else if (packs <= 2 * kMaxThreads) {
    in_blocks.template operator()<2>();
  } else if constexpr (sizeof(T) == 4) {
    in_blocks.template operator()<4>();
  }
  check_launch();
  if constexpr (kWeight) add_partials(stream, a.partials, blocks, width, grad_weight);
}

}  // namespace graft::gpu
