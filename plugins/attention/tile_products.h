// Attention's two products of bfloat16 on tiles, for queries enough to fill some: scores of a block of
// keys, and the sums of their values, whose weights are rounded to bfloat16 for it, as in FlashAttention (Dao
// et al. 2022, arXiv:2205.14135).
#pragma once

#include <algorithm>

#include "../common/gemm.h"
#include "../common/heads.h"
#include "../common/reals.h"
#include "../common/rows.h"
#include "../common/tiles.h"
#include "plan.h"

namespace graft {

struct NoTileProducts {
  static constexpr bool kBuilt = false;
};

#if defined(GRAFT_TILES)

// What one thread works with.
class TileProducts {
  using bf16 = simd::bf16;

 public:
  static constexpr bool kBuilt = true;
  static constexpr int64_t kFewestRows = 16;  // with less a tile is mostly zeros

  TileProducts(Workspace& workspace, int64_t max_rows, int64_t key_dim, int64_t value_dim)
      : depth_(tiles::whole_depth(key_dim)),
        queries_(workspace.take<bf16>(size_t(tiles::whole_rows(max_rows) * depth_))),
        keys_(workspace.take<bf16>(size_t(kKeysPerBlock * depth_))),
        values_(workspace.take<bf16>(size_t(kKeysPerBlock * padded_columns(value_dim)))),
        weights_(workspace.take<bf16>(size_t(tiles::whole_rows(max_rows) * kKeysPerBlock))) {}

  // The rows of a task's query heads.
  void set_queries(const Heads<bf16>& from, const Task& task, int64_t dim) {
    bf16* to = queries_;
    for (int64_t g = 0; g < task.group; ++g)
      for (int64_t token = 0; token < task.tokens; ++token, to += depth_) {
        std::copy_n(from.row(task.batch, task.key_head * task.group + g, task.first_token + token), dim, to);
        std::fill(to + dim, to + depth_, bf16{0});
      }
    std::fill(to, queries_ + tiles::whole_rows(task.rows) * depth_, bf16{0});
  }

  void set_block(const Rows<const bf16>& keys, const Rows<const bf16>& values) {
    count_ = keys.count();
    tiles::pack_right(keys, /*across=*/false, 0, keys.width(), 0, count_, keys_, depth_ / tiles::kDepth);
    tiles::pack_right(values, /*across=*/true, 0, count_, 0, values.width(), values_, kValueSteps);
  }

  // scores[rows][kKeysPerBlock] = factor * queries @ keys^T
  void score(int64_t rows, float factor, float* scores) const {
    const int64_t steps = depth_ / tiles::kDepth;
    const tiles::InUse in_use;
    tiles::multiply(steps, {queries_, depth_}, {keys_, steps * tiles::kTile}, rows, count_, scores,
                    kKeysPerBlock, /*add=*/false);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < count_; i += simd::kLanes) {
        float* at = scores + row * kKeysPerBlock + i;
        simd::store(at, simd::load(at) * simd::broadcast(factor));
      }
  }

  // sums[rows][width] += weights[rows][kKeysPerBlock] @ values
  void weigh(int64_t rows, const float* weights, float* sums, int64_t width) const {
    const int64_t depth = tiles::whole_depth(count_);
    for (int64_t row = 0; row < rows; ++row) {
      bf16* to = weights_ + row * kKeysPerBlock;
      for (int64_t i = 0; i < depth; i += simd::kLanes)
        simd::store(to + i, i < count_ ? simd::load(weights + row * kKeysPerBlock + i) : simd::zero());
    }
    std::fill(weights_ + rows * kKeysPerBlock, weights_ + tiles::whole_rows(rows) * kKeysPerBlock, bf16{0});
    const tiles::InUse in_use;
    tiles::multiply(depth / tiles::kDepth, {weights_, kKeysPerBlock}, {values_, kValueSteps * tiles::kTile},
                    rows, width, sums, width, /*add=*/true);
  }

 private:
  static constexpr int64_t kValueSteps = kKeysPerBlock / tiles::kDepth;

  int64_t depth_, count_ = 0;
  bf16 *queries_, *keys_, *values_, *weights_;
};

#else

using TileProducts = NoTileProducts;

#endif

}  // namespace graft
