// The gradient of logits: (softmax - one at the label) * grad_loss / rows that count, and 0 for rows that are ignored.
#pragma once

#include "log_sum_exp.cuh"

namespace graft::gpu {

// One block: scale = grad_loss / rows that count. Not read where none does.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    gradient_scale(const int64_t* labels, int64_t rows, int64_t ignored, const float* grad_loss, float* scale) {
  SumAndCount mine{0, 0};
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) mine.count += labels[row] != ignored;
  const SumAndCount all = over_block<kThreads>(mine);
  if (threadIdx.x == 0) *scale = *grad_loss / float(all.count);
}

// In place, a block a row: columns [first, first + columns) of the logits give way to their gradient, rounded to T as torch's is.
// Rows begin on 16 bytes. A label outside of the vocabulary makes its row NaN, as it does the loss.
template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads)
    differentiate(T* logits, int64_t stride, int columns, int64_t first, int64_t vocabulary, const int64_t* labels,
                  int64_t ignored, const float* lse, const float* scale) {
  constexpr int kCount = Sixteen<T>::kCount, kLoads = 4;
  const int64_t row = blockIdx.x, label = labels[row];
  T* at = logits + row * stride;
  const int pieces = columns / kCount, thread = int(threadIdx.x);
  if (label == ignored) {
    for (int i = thread; i < pieces; i += kThreads) Sixteen<T>{make_uint4(0, 0, 0, 0)}.store(at + int64_t(i) * kCount);
    if (const int column = pieces * kCount + thread; column < columns) at[column] = Element<T>::round(0.0f);
    return;
  }
  const float peak = lse[row], factor = label >= 0 && label < vocabulary ? *scale : NAN;
  const int one = label >= first && label - first < columns ? int(label - first) : -1;
  const auto gradient = [&](float logit, int column) {
    // The label's own is not rounded before the difference: p is close to 1 where the model has learned.
    return (__expf(logit - peak) - (column == one ? 1.0f : 0.0f)) * factor;
  };
  const auto piece = [&](Sixteen<T> loaded, int i) {
    float values[kCount];
    loaded.unpack(values);
#pragma unroll
    for (int k = 0; k < kCount; ++k) values[k] = gradient(values[k], i * kCount + k);
    Sixteen<T>::pack(values).store(at + int64_t(i) * kCount);
  };
  int i = thread;
  for (; i + (kLoads - 1) * kThreads < pieces; i += kLoads * kThreads) {
    Sixteen<T> loaded[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) loaded[j] = Sixteen<T>::load(at + int64_t(i + j * kThreads) * kCount);
#pragma unroll
    for (int j = 0; j < kLoads; ++j) piece(loaded[j], i + j * kThreads);
  }
  for (; i < pieces; i += kThreads) piece(Sixteen<T>::load(at + int64_t(i) * kCount), i);
  if (const int column = pieces * kCount + thread; column < columns)
    at[column] = Element<T>::round(gradient(Element<T>::real(at[column]), column));
}

// to = from, rounded. Both begin on 16 bytes if kWide.
template <class T, int kThreads, bool kWide>
__global__ void __launch_bounds__(kThreads) round_values(const float* from, T* to, int64_t count) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if constexpr (kWide) {
    constexpr int kCount = Sixteen<T>::kCount;
    const int64_t begin = thread * kCount;
    if (begin + kCount <= count) {
      float values[kCount];
#pragma unroll
      for (int i = 0; i < kCount; i += 4) {
        float four[4];
        Sixteen<float>::load(from + begin + i).unpack(four);
#pragma unroll
        for (int k = 0; k < 4; ++k) values[i + k] = four[k];
      }
      return Sixteen<T>::pack(values).store(to + begin);
    }
    for (int64_t i = begin; i < count; ++i) to[i] = Element<T>::round(from[i]);
  } else if (thread < count) {
    to[thread] = Element<T>::round(from[thread]);
  }
}

}  // namespace graft::gpu
