// Log-sum-exp of rows of logits, each read once, and the mean of the rows' losses.
// Source: Milakov and Gimelshein 2018, arXiv:1805.02867.
#pragma once

#include <cfloat>
#include <cmath>

#include "../../common/cuda/sixteen_bytes.cuh"

namespace graft::gpu {

// `peak`: the greatest value so far; `total`: the sum of exp(value - peak).
struct RunningSum {
  float peak = -INFINITY, total = 0;

  // Values of -INFINITY add nothing.
  template <int kCount>
  __device__ void add(const float (&values)[kCount]) {
    float greatest = peak;
#pragma unroll
    for (int i = 0; i < kCount; ++i) greatest = fmaxf(greatest, values[i]);  // passes over NaN, which the sum then is
    rescale(greatest);
    const float from = reference();
#pragma unroll
    for (int i = 0; i < kCount; ++i) total += __expf(values[i] - from);
  }
  __device__ void add(const RunningSum& other) {
    rescale(fmaxf(peak, other.peak));
    total += other.total * __expf(other.peak - reference());
  }
  __device__ float log_sum_exp() const {
    return reference() + logf(total);
  }

 private:
  // While all values are -INFINITY, their difference would be NaN; with any finite reference their exp is 0.
  __device__ float reference() const {
    return peak == -INFINITY ? 0.0f : peak;
  }
  __device__ void rescale(float greater) {
    if (greater == peak) return;
    const float before = peak;
    peak = greater;
    total *= __expf(before - greater);
  }
};

// The sum over a block, on thread 0.
template <int kThreads>
__device__ RunningSum over_block(RunningSum sum) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2)
    sum.add(RunningSum{from_lane_xor(sum.peak, mask), from_lane_xor(sum.total, mask)});
  __shared__ float peaks[kThreads / kWarp], totals[kThreads / kWarp];
  if (threadIdx.x % kWarp == 0) peaks[threadIdx.x / kWarp] = sum.peak, totals[threadIdx.x / kWarp] = sum.total;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int i = 1; i < kThreads / kWarp; ++i) sum.add(RunningSum{peaks[i], totals[i]});
  return sum;
}

// A block a row of `columns` logits; rows begin on 16 bytes. `losses` may be null; 0 where the label is ignored, NaN where it
// lies outside of the vocabulary: no torch operator would go on from there, and a host is told by the loss it gets.
template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads) row_log_sum_exp(const T* logits, int64_t stride, int columns, const int64_t* labels,
                                                            int64_t ignored, float* lse, float* losses) {
  constexpr int kCount = Sixteen<T>::kCount, kLoads = 4;
  const int64_t row = blockIdx.x;
  const T* from = logits + row * stride;
  const int pieces = columns / kCount;
  RunningSum sum;
  int i = int(threadIdx.x);
  for (; i + (kLoads - 1) * kThreads < pieces; i += kLoads * kThreads) {
    Sixteen<T> loaded[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) loaded[j] = Sixteen<T>::load(from + int64_t(i + j * kThreads) * kCount);
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      float values[kCount];
      loaded[j].unpack(values);
      sum.add(values);
    }
  }
  for (; i < pieces; i += kThreads) {
    float values[kCount];
    Sixteen<T>::load(from + int64_t(i) * kCount).unpack(values);
    sum.add(values);
  }
  if (const int column = pieces * kCount + int(threadIdx.x); column < columns) {
    const float value[1] = {Element<T>::real(from[column])};
    sum.add(value);
  }
  sum = over_block<kThreads>(sum);
  if (threadIdx.x != 0) return;
  const float result = sum.log_sum_exp();
  lse[row] = result;
  if (losses == nullptr) return;
  const int64_t label = labels[row];
  losses[row] = label == ignored ? 0.0f : label >= 0 && label < columns ? result - Element<T>::real(from[label]) : NAN;
}

// One block: the sums of both over its threads, on all of them, always in the same order.
struct SumAndCount {
  float sum;
  int64_t count;
};
template <int kThreads>
__device__ SumAndCount over_block(SumAndCount mine) {
  __shared__ float sums[kThreads];
  __shared__ int64_t counts[kThreads];
  sums[threadIdx.x] = mine.sum, counts[threadIdx.x] = mine.count;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) {
      sums[threadIdx.x] += sums[threadIdx.x + half];
      counts[threadIdx.x] += counts[threadIdx.x + half];
    }
  }
  __syncthreads();
  return {sums[0], counts[0]};
}

// loss: the mean over the rows that count; 0 / 0 = NaN if none does.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    mean_loss(const float* losses, const int64_t* labels, int64_t rows, int64_t ignored, float* loss) {
  SumAndCount mine{0, 0};
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) mine.sum += losses[row], mine.count += labels[row] != ignored;
  const SumAndCount all = over_block<kThreads>(mine);
  if (threadIdx.x == 0) *loss = all.sum / float(all.count);
}

}  // namespace graft::gpu
