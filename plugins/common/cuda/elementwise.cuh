// for_each_pack: work on the elements of tensors, some packs of each in flight in every thread.
#pragma once

#include <algorithm>

#include "pack.cuh"

namespace graft::gpu {

inline constexpr int kElementwiseThreads = 256;

// Threads of a block take neighbouring packs. What is left over behind the last whole pack falls to the first block.
template <int N, class Work>
__global__ void __launch_bounds__(kElementwiseThreads) work_on_packs(int64_t count, Work work) {
  using Loaded = decltype(work.template load<N>(int64_t{0}));
  constexpr int kInFlight = Work::kInFlight;
  const int64_t packs = count / N;
  const int64_t first = int64_t(blockIdx.x) * (kElementwiseThreads * kInFlight) + threadIdx.x;
  Loaded loaded[kInFlight];
#pragma unroll
  for (int i = 0; i < kInFlight; ++i) {
    const int64_t pack = first + i * kElementwiseThreads;
    if (pack < packs) loaded[i] = work.template load<N>(pack * N);
  }
#pragma unroll
  for (int i = 0; i < kInFlight; ++i) {
    const int64_t pack = first + i * kElementwiseThreads;
    if (pack < packs) work.store(pack * N, loaded[i]);
  }
  if constexpr (N > 1) {
    const int64_t rest = packs * N + threadIdx.x;
    if (blockIdx.x == 0 && rest < count) work.store(rest, work.template load<1>(rest));
  }
}

// Work has kInFlight, the packs that a thread loads before it stores any, and, for the N elements that begin at i of `count`,
//   Loaded load<N>(int64_t i) const     what is read
//   void store(int64_t i, Loaded) const what is written; it may overwrite what was read for the same i
// `packed`: whether all that it touches may be read and written kPack<T> at a time.
template <class T, class Work>
void for_each_pack(Stream stream, int64_t count, bool packed, const Work& work) {
  if (count <= 0) return;
  const int64_t packs = packed ? std::max<int64_t>(1, count / kPack<T>) : count;
  const int64_t each = kElementwiseThreads * Work::kInFlight;
  const unsigned blocks = unsigned((packs + each - 1) / each);
  if (packed)
    work_on_packs<kPack<T>><<<blocks, kElementwiseThreads, 0, stream>>>(count, work);
  else
    work_on_packs<1><<<blocks, kElementwiseThreads, 0, stream>>>(count, work);
  check_launch();
}

}  // namespace graft::gpu
