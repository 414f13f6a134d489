// What the kernel needs beside FlashInfer: the place of a block among sequences of unequal lengths, and rows of zeros.
#pragma once

#include <cstdint>
#include <flashinfer/fastdiv.cuh>

namespace graft::gpu {

struct SequenceTile {
  uint32_t sequence, tile;
};

// The block's tile if each sequence [first[i], first[i + 1]) has as many tiles of kTileQueries as its queries times `group` fill;
// sequence = sequences beyond the last. Lengths are on the device alone, so each warp of each block adds them up: 32 at a step.
template <uint32_t kTileQueries>
__device__ inline SequenceTile find_tile(const int32_t* first, uint32_t sequences, uint32_t group, uint32_t block) {
  const uint32_t lane = threadIdx.x;
  for (uint32_t base = 0; base < sequences; base += 32) {
    const uint32_t i = base + lane;
    const uint32_t length = i < sequences ? first[i + 1] - first[i] : 0;
    const uint32_t tiles = (length * group + kTileQueries - 1) / kTileQueries;
    uint32_t up_to = tiles;
#pragma unroll
    for (uint32_t offset = 1; offset < 32; offset *= 2) {
      const uint32_t left = __shfl_up_sync(~0u, up_to, offset);
      if (lane >= offset) up_to += left;
    }
    const uint32_t holds = __ballot_sync(~0u, block < up_to);
    if (holds != 0) {
      const uint32_t owner = __ffs(holds) - 1;
      return {base + owner, block - __shfl_sync(~0u, up_to - tiles, owner)};
    }
    block -= __shfl_sync(~0u, up_to, 31);
  }
  return {sequences, 0};
}

// Zeros for the rows [begin, end) of one key head, token = row / group: `out` is its first query head's first row, `stride` the
// elements from a token to the next. 16 bytes at a time.
template <uint32_t kWidth, class T>
__device__ inline void clear_rows(T* out, uint32_t stride, const flashinfer::uint_fastdiv& group, uint32_t begin, uint32_t end) {
  constexpr uint32_t kPieces = kWidth * sizeof(T) / 16;
  const uint32_t thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const uint32_t threads = blockDim.x * blockDim.y * blockDim.z;
  for (uint32_t i = begin * kPieces + thread; i < end * kPieces; i += threads) {
    uint32_t token, head;
    group.divmod(i / kPieces, token, head);
    reinterpret_cast<uint4*>(out + token * stride + head * kWidth)[i % kPieces] = uint4{};
  }
}

}  // namespace graft::gpu
