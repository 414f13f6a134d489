// How the work is cut: from the shapes alone, so that the same inputs give the same bits and no device is asked for the
// workspace's size.
#pragma once

#include <algorithm>
#include <cstdint>

namespace graft::gpu {

// A block multiplies a tile of queries, the heads of a group counted as so many queries more, with one key head.
inline constexpr uint32_t kTile = 128, kDecodeTile = 16;
// Blocks that run at once on the GPUs with the most room for them, two on each of an H100's 132 multiprocessors.
inline constexpr int64_t kBlocks = 264;
// Fewer keys are not worth a second kernel that puts the parts together.
inline constexpr int64_t kKeysPerSplit = 256;
inline constexpr int64_t kMostSplits = 128;

inline int64_t ceil_divide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// rows: queries times heads of a group. The small tile has causal kernels alone.
inline uint32_t tile_of(int64_t rows, bool causal) {
  return causal && rows <= kDecodeTile ? kDecodeTile : kTile;
}

// `seen`: the least number of keys that a tile reads, in which each part then has a key (see launch.cuh).
inline int64_t splits_of(int64_t batch, int64_t key_heads, int64_t rows, int64_t seen, bool causal) {
  const int64_t blocks = batch * key_heads * ceil_divide(rows, tile_of(rows, causal));
  const int64_t room = std::min(kBlocks / std::max<int64_t>(1, blocks), kMostSplits);
  return std::max<int64_t>(1, std::min(room, seen / kKeysPerSplit));
}

}  // namespace graft::gpu
