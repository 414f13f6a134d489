// RMSNorm forward, with or without the residual connection before it. A row stays in registers between the sum of its squares and
// its scaling, so each input is read once. Short rows: a group of lanes a row. Long ones: a block a row. Norms of small batches take
// little longer than a launch, so theirs hides behind the kernel before (chain.cuh).
#pragma once

#include <algorithm>

#include "../../common/cuda/chain.cuh"
#include "../../common/cuda/pack.cuh"
#include "../../common/cuda/reduce.cuh"
#include "../../common/rows.h"

namespace graft::gpu {

template <class T>
struct NormForward {
  Rows<const T> x, residual;  // residual: with kAdd alone
  const T* weight;
  T *out, *sum;  // sum: with kAdd alone
  float* rstd;   // may be null
  float eps;
};

// A pack of what the norm sees: x, or x + residual, which is rounded to T and kept as the sum.
template <bool kAdd, int N, class T>
__device__ __forceinline__ Pack<T, N> norm_input(const T* x, const T* residual, T* sum, bool there) {
  Pack<T, N> value = load_if<N>(there, x);
  if constexpr (kAdd) {
    const Pack<T, N> other = load_if<N>(there, residual);
    float added[N];
    for (int i = 0; i < N; ++i) added[i] = float(value.at[i]) + float(other.at[i]);
    value = rounded<T>(added);
    if (there) store(sum, value);
  }
  return value;
}

template <class T, int N>
__device__ __forceinline__ float squares(const Pack<T, N>& x) {
  float sum = 0.0f;
  for (int i = 0; i < N; ++i) sum = fmaf(float(x.at[i]), float(x.at[i]), sum);
  return sum;
}

template <class T, int N>
__device__ __forceinline__ Pack<T, N> scaled(const Pack<T, N>& x, float rstd, const Pack<T, N>& weight) {
  float out[N];
  for (int i = 0; i < N; ++i) out[i] = float(x.at[i]) * rstd * float(weight.at[i]);
  return rounded<T>(out);
}

inline constexpr int kGroupThreads = 128;

// G lanes with V packs each for a row, R rows in flight.
template <class T, int G, int V, int R, bool kAdd>
__global__ void __launch_bounds__(kGroupThreads) norm_groups(NormForward<T> a) {
  let_next_start();
  wait_for_previous();
  constexpr int N = kPack<T>, kGroups = kGroupThreads / G;
  const int64_t rows = a.x.count();
  const int width = int(a.x.width()), lane = threadIdx.x % G;
  const int64_t first = int64_t(blockIdx.x) * (kGroups * R) + threadIdx.x / G;
  Pack<T, N> x[R][V], weight[V];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const int64_t row = first + r * kGroups;
    const bool in = row < rows;
    const T *from = in ? a.x[row] : nullptr, *residual = kAdd && in ? a.residual[row] : nullptr;
    T* sum = kAdd ? a.sum + row * width : nullptr;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * G + lane) * N;
      x[r][v] = norm_input<kAdd, N>(from + column, residual + column, sum + column, in && column < width);
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int column = (v * G + lane) * N;
    weight[v] = load_if<N>(column < width, a.weight + column);
  }
#pragma unroll
  for (int r = 0; r < R; ++r) {
    float sum = 0.0f;
#pragma unroll
    for (int v = 0; v < V; ++v) sum += squares(x[r][v]);
    const float rstd = rsqrtf(group_sum<G>(sum) / float(width) + a.eps);
    const int64_t row = first + r * kGroups;
    if (row >= rows) continue;
    T* out = a.out + row * width;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int column = (v * G + lane) * N;
      if (column < width) store(out + column, scaled(x[r][v], rstd, weight[v]));
    }
    if (lane == 0 && a.rstd != nullptr) a.rstd[row] = rstd;
  }
}

template <int V>
inline constexpr int kBlockThreads = V < 4 ? kMaxThreads : kMaxThreads / 2;

// A block for a row, V packs a thread.
template <class T, int V, bool kAdd>
__global__ void __launch_bounds__(kBlockThreads<V>, V == 4 ? 2 : 1) norm_blocks(NormForward<T> a) {
  let_next_start();
  wait_for_previous();
  constexpr int N = kPack<T>;
  __shared__ float shared[kMaxWarps];
  const int64_t row = blockIdx.x;
  const int width = int(a.x.width());
  const T *from = a.x[row], *residual = kAdd ? a.residual[row] : nullptr;
  T *summed = kAdd ? a.sum + row * width : nullptr, *out = a.out + row * width;
  Pack<T, N> x[V], weight[V];
  float sum = 0.0f;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int column = int(v * blockDim.x + threadIdx.x) * N;
    x[v] = norm_input<kAdd, N>(from + column, residual + column, summed + column, column < width);
    if constexpr (V < 4) weight[v] = load_if<N>(column < width, a.weight + column);
  }
#pragma unroll
  for (int v = 0; v < V; ++v) sum += squares(x[v]);
  const float rstd = rsqrtf(block_sum(sum, shared) / float(width) + a.eps);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int column = int(v * blockDim.x + threadIdx.x) * N;
    if (column >= width) continue;
    if constexpr (V >= 4) weight[v] = load<N>(a.weight + column);  // registers are short
    store(out + column, scaled(x[v], rstd, weight[v]));
  }
  if (threadIdx.x == 0 && a.rstd != nullptr) a.rstd[row] = rstd;
}

// Any width and alignment, an element at a time; a row is read twice.
template <class T, bool kAdd>
__global__ void __launch_bounds__(kMaxThreads) norm_elements(NormForward<T> a) {
  let_next_start();
  wait_for_previous();
  __shared__ float shared[kMaxWarps];
  const int64_t rows = a.x.count(), width = a.x.width();
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = row * width;
    const T *from = a.x[row], *residual = kAdd ? a.residual[row] : nullptr;
    float sum = 0.0f;
    for (int64_t column = threadIdx.x; column < width; column += blockDim.x)
      sum += squares(norm_input<kAdd, 1>(from + column, residual + column, a.sum + at + column, true));
    const float rstd = rsqrtf(block_sum(sum, shared) / float(width) + a.eps);
    const T* input = kAdd ? a.sum + at : from;  // a thread reads what it wrote itself
    for (int64_t column = threadIdx.x; column < width; column += blockDim.x)
      store(a.out + at + column, scaled(load<1>(input + column), rstd, load<1>(a.weight + column)));
    if (threadIdx.x == 0 && a.rstd != nullptr) a.rstd[row] = rstd;
    __syncthreads();
  }
}

template <bool kAdd, class T>
void norm_forward(Stream stream, const NormForward<T>& a) {
  const int64_t rows = a.x.count(), width = a.x.width();
  if (rows == 0 || width == 0) return;
  constexpr int N = kPack<T>;
  const bool packed =
      width % N == 0 && a.x.aligned(16) && (!kAdd || (a.residual.aligned(16) && aligned16(a.sum))) && aligned16(a.weight, a.out);
  const int64_t packs = width / N;
  // Less is done before the host has launched what comes next.
  constexpr int64_t kLeastToChain = int64_t{1} << 20;  // bytes
  const bool chained = rows * width * int64_t(sizeof(T)) >= kLeastToChain && chains();
  const auto start = [&](void (*kernel)(NormForward<T>), int64_t blocks, int64_t threads) {
    launch(kernel, {dim3(unsigned(blocks)), unsigned(threads)}, stream, chained, a);
  };
  const auto in_groups = [&]<int G, int V, int R>() {
    constexpr int kRows = kGroupThreads / G * R;
    start(norm_groups<T, G, V, R, kAdd>, (rows + kRows - 1) / kRows, kGroupThreads);
  };
  const auto in_blocks = [&]<int V>() { start(norm_blocks<T, V, kAdd>, rows, whole_warps((packs + V - 1) / V)); };
  if (!packed || packs > 8 * kBlockThreads<8>)
    start(norm_elements<T, kAdd>, std::min<int64_t>(rows, 1 << 30), whole_warps(std::min<int64_t>(width, kMaxThreads)));
  else if (packs <= 8)
    in_groups.template operator()<8, 1, 2>();
  else if (packs <= 16)
    in_groups.template operator()<16, 1, 2>();
  else if (packs <= 32)
    in_groups.template operator()<32, 1, 2>();
  else if (packs <= 64)
    in_groups.template operator()<32, 2, 1>();
  else if (packs <= 128)
    in_groups.template operator()<32, 4, 1>();
  else if (packs <= 256 || (packs <= kMaxThreads && rows < 64))  // few rows: the more threads, the sooner they are done
    in_blocks.template operator()<1>();
  else if (packs <= 512)
    in_blocks.template operator()<2>();
  else if (packs <= 4 * kBlockThreads<4>)
    in_blocks.template operator()<4>();
  else
    in_blocks.template operator()<8>();
}

}  // namespace graft::gpu
