// out[b, n] = sum over k of x[b, k] * weight[n, k] for a handful of rows b: every weight is read once, and that is what takes the time.
//
// A block makes tiles of 16 outputs of all rows; its warps share k in chunks of 32. Weights go from memory straight into the
// operands of tensor cores (m16n8k16: 16 outputs by 8 rows). Which k stands where in an operand is free as long as both have it alike: a
// thread reads 8 neighbours and calls them the k of two products. So one width of load serves weights and inputs, and a block's first
// weights are on their way before the kernel that makes its inputs has ended.
#pragma once

#include "chain.cuh"
#include "vector.cuh"

namespace graft::gpu {

inline constexpr int kMostRows = 8;  // b
inline constexpr int kChunk = 32;    // k

enum class After { store, add_residual, silu_and_mul };

__host__ __device__ constexpr int tile_outputs(After after) { return after == After::silu_and_mul ? 8 : 16; }

template <class T>
struct Projection {
  const T* x;      // [B, K]
  const T* gain;   // not null: x is normed first, see rms_norm.h
  float eps;
  // Weights of outputs [0, ends[0]), [ends[0], ends[1]) …: several layers that read the same x. With silu_and_mul two of the same
  // height, gate and up.
  const T* weights[3];
  int ends[3];
  const T* residual;  // [B, N]
  T* out;             // [B, N]
  int rows, inputs, outputs;  // B, K, N
};

// The gains, in shared memory behind the rows of x.
template <class T>
__device__ void fetch_gains(const Projection<T>& p, T* gains) {
  for (int k = threadIdx.x * kEight; k < p.inputs; k += blockDim.x * kEight)
    *reinterpret_cast<Eight<T>*>(gains + k) = load_eight_weights(p.gain + k);
}

// x, normed, in shared memory: rows of `stride` elements. A warp takes a row.
template <class T>
__device__ void norm_rows(const Projection<T>& p, const T* gains, T* normed, int stride) {
  constexpr int kKept = 4;  // vectors of a lane that stay in registers between the two passes: rows of up to 1024
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  for (int row = warp; row < p.rows; row += warps) {
    const T* x = p.x + int64_t(row) * p.inputs;
    Eight<T> kept[kKept];
    float squares = 0;
    const auto add = [&](const Eight<T>& values) {
#pragma unroll
      for (int e = 0; e < kEight; ++e) squares += to_float(values.at[e]) * to_float(values.at[e]);
    };
#pragma unroll
    for (int i = 0; i < kKept; ++i)
      if (const int k = (i * 32 + lane) * kEight; k < p.inputs) kept[i] = load_written(x + k);
#pragma unroll
    for (int i = 0; i < kKept; ++i)
      if ((i * 32 + lane) * kEight < p.inputs) add(kept[i]);
    for (int k = (kKept * 32 + lane) * kEight; k < p.inputs; k += 32 * kEight) add(load_written(x + k));

    const float rstd = rsqrtf(group_sum<32>(squares) / float(p.inputs) + p.eps);
    const auto write = [&](const Eight<T>& values, int k) {
      const Eight<T> gain = *reinterpret_cast<const Eight<T>*>(gains + k);
      Eight<T> scaled;
#pragma unroll
      for (int e = 0; e < kEight; ++e) scaled.at[e] = from_float<T>(to_float(values.at[e]) * rstd * to_float(gain.at[e]));
      *reinterpret_cast<Eight<T>*>(normed + row * stride + k) = scaled;
    };
#pragma unroll
    for (int i = 0; i < kKept; ++i)
      if (const int k = (i * 32 + lane) * kEight; k < p.inputs) write(kept[i], k);
    for (int k = (kKept * 32 + lane) * kEight; k < p.inputs; k += 32 * kEight) write(load_written(x + k), k);
  }
}

// The weights' row of an output, which one of several layers makes.
template <class T>
__device__ const T* weights_of(const Projection<T>& p, int output) {
  if (output < p.ends[0]) return p.weights[0] + int64_t(output) * p.inputs;
  if (output < p.ends[1]) return p.weights[1] + int64_t(output - p.ends[0]) * p.inputs;
  return p.weights[2] + int64_t(output - p.ends[1]) * p.inputs;
}

// A finished sum goes where it belongs. `other`: up's, with silu_and_mul; the residual, with add_residual.
template <class T, After kAfter>
__device__ void finish(const Projection<T>& p, int row, int output, float sum, float other) {
  if constexpr (kAfter == After::add_residual) {
    sum = rounded<T>(sum) + other;
  } else if constexpr (kAfter == After::silu_and_mul) {
    const float gate = rounded<T>(sum);
    sum = rounded<T>(gate / (1 + __expf(-gate))) * rounded<T>(other);
  }
  p.out[int64_t(row) * p.outputs + output] = from_float<T>(sum);
}

// Elements between rows of normed x in shared memory: 64 bytes more than a multiple of 128 for rows of multiples of 64 elements, so that
// the eight threads that read together meet different banks.
__host__ __device__ inline int normed_stride(int inputs) { return inputs + kChunk; }

__device__ inline void multiply(float (&sums)[4], bf16, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
__device__ inline void multiply(float (&sums)[4], half, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// 16-bit T. A block makes kTiles tiles of 16 outputs, or with silu_and_mul of 8, whose other half are the same outputs of up. kHeld: chunks
// of a warp whose weights are in registers at once. kBlocks: of a multiprocessor at once, the next kernel's included.
template <class T, After kAfter, int kTiles, int kWarps, int kHeld, int kBlocks = 1>
__global__ void __launch_bounds__(kWarps * 32, kBlocks) project(const __grid_constant__ Projection<T> p) {
  constexpr bool kPairs = kAfter == After::silu_and_mul;
  constexpr int kOutputs = kTiles * tile_outputs(kAfter);
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ float sums[kWarps][kTiles * 16][kMostRows + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, place = lane % 4;
  const int first = blockIdx.x * kOutputs, stride = normed_stride(p.inputs);
  T *normed = reinterpret_cast<T*>(memory), *gains = normed + p.rows * stride;

  uint4 upper[kTiles][kHeld], lower[kTiles][kHeld];  // of a tile's rows
  const auto load = [&](int chunk) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const int output = first + tile * tile_outputs(kAfter) + group;
      const T* up = kPairs ? p.weights[0] + int64_t(min(output, p.outputs - 1)) * p.inputs : weights_of(p, min(output, p.outputs - 1));
      const T* low = kPairs ? p.weights[1] + int64_t(min(output, p.outputs - 1)) * p.inputs : weights_of(p, min(output + 8, p.outputs - 1));
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int k = (chunk + i * kWarps) * kChunk + place * kEight;
        const bool there = k < p.inputs;
        upper[tile][i] = there ? load_weights(up + k) : uint4{};
        lower[tile][i] = there ? load_weights(low + k) : uint4{};
      }
    }
  };
  load(warp);
  if (p.gain != nullptr) {
    fetch_gains(p, gains);
    __syncthreads();
  }
  let_next_start();
  wait_for_previous();
  // A thread finishes one sum, where it has one: a block has no more than threads.
  static_assert(kOutputs * kMostRows <= kWarps * 32);
  const int mine = threadIdx.x % kOutputs, row = threadIdx.x / kOutputs, output = first + mine;
  const bool finishes = row < p.rows && output < p.outputs;
  float residual = 0;
  if constexpr (kAfter == After::add_residual)
    if (finishes) residual = to_float(__ldcg(p.residual + int64_t(row) * p.outputs + output));
  if (p.gain != nullptr) {
    norm_rows(p, gains, normed, stride);
    __syncthreads();
  }

  float made[kTiles][4] = {};
  const int chunks = (p.inputs + kChunk - 1) / kChunk;
  for (int chunk = warp; chunk < chunks; chunk += kHeld * kWarps) {
    uint4 x[kHeld];
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int k = (chunk + i * kWarps) * kChunk + place * kEight;
      x[i] = uint4{};
      if (group >= p.rows || k >= p.inputs) continue;
      x[i] = p.gain != nullptr ? *reinterpret_cast<const uint4*>(normed + group * stride + k)
                               : __ldcg(reinterpret_cast<const uint4*>(p.x + int64_t(group) * p.inputs + k));
    }
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const uint4 a = upper[tile][i], b = lower[tile][i];
        multiply(made[tile], T{}, a.x, b.x, a.y, b.y, x[i].x, x[i].y);
        multiply(made[tile], T{}, a.z, b.z, a.w, b.w, x[i].z, x[i].w);
      }
    }
    if (chunk + kHeld * kWarps < chunks) load(chunk + kHeld * kWarps);
  }

#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[warp][tile * 16 + group + (i / 2) * 8][place * 2 + i % 2] = made[tile][i];
  __syncthreads();
  if (!finishes) return;
  const int at = kPairs ? mine / 8 * 16 + mine % 8 : mine;
  float sum = 0, other = residual;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    sum += sums[w][at][row];
    if constexpr (kPairs) other += sums[w][at + 8][row];
  }
  finish<T, kAfter>(p, row, output, sum, other);
}

// float: no tensor cores, which would round to tf32. A warp makes an output of all rows.
template <After kAfter>
__global__ void __launch_bounds__(256) project_float(const __grid_constant__ Projection<float> p) {
  constexpr bool kPairs = kAfter == After::silu_and_mul;
  extern __shared__ __align__(16) unsigned char memory[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, stride = normed_stride(p.inputs);
  float *normed = reinterpret_cast<float*>(memory), *gains = normed + p.rows * stride;
  const int output = blockIdx.x * 8 + warp;
  let_next_start();
  wait_for_previous();
  if (p.gain != nullptr) {
    fetch_gains(p, gains);
    __syncthreads();
    norm_rows(p, gains, normed, stride);
    __syncthreads();
  }
  if (output >= p.outputs) return;
  const float* weights = weights_of(p, output);
  const float* up = kPairs ? p.weights[1] + int64_t(output) * p.inputs : nullptr;
  float made[kMostRows] = {}, made_up[kMostRows] = {};
  for (int k = lane * 4; k < p.inputs; k += 32 * 4) {
    const float4 w = *reinterpret_cast<const float4*>(weights + k);
    const float4 u = kPairs ? *reinterpret_cast<const float4*>(up + k) : float4{};
#pragma unroll
    for (int row = 0; row < kMostRows; ++row) {
      if (row >= p.rows) break;
      const float4 x = p.gain != nullptr ? *reinterpret_cast<const float4*>(normed + row * stride + k)
                                         : __ldcg(reinterpret_cast<const float4*>(p.x + int64_t(row) * p.inputs + k));
      made[row] += w.x * x.x + w.y * x.y + w.z * x.z + w.w * x.w;
      if constexpr (kPairs) made_up[row] += u.x * x.x + u.y * x.y + u.z * x.z + u.w * x.w;
    }
  }
#pragma unroll
  for (int row = 0; row < kMostRows; ++row) {
    const float sum = group_sum<32>(made[row]);
    float other = kPairs ? group_sum<32>(made_up[row]) : 0;
    if (row >= p.rows || lane != 0) continue;
    if constexpr (kAfter == After::add_residual) other = __ldcg(p.residual + int64_t(row) * p.outputs + output);
    finish<float, kAfter>(p, row, output, sum, other);
  }
}

}  // namespace graft::gpu
