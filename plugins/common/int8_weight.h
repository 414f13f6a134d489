// Int8Weight: the weight of out = x @ weight^T in 8 bits and in an order in which it streams from memory.
//
// Each kGroup weights of a row, along its depth, share a scale: weight ~ scale * q, q in [-127, 127], the
// scale being the largest |weight| / 127, rounded up to bfloat16; the error is at most scale / 2. Source:
// round-to-nearest with absolute maxima, as in Dettmers et al. 2022, arXiv:2208.07339, without their outlier
// columns.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <graft/plugin.hpp>

#include "gemm.h"
#include "packed_memory.h"
#include "simd.h"
#include "tile_layout.h"
#include "whole_products.h"

namespace graft {

class Int8Weight {
 public:
  static constexpr int64_t kGroup = whole::kGroup;
  // See common/many_rows.h: beside 8 bits bfloat16 is exact enough for what is bfloat16 itself.
  template <class T>
  static constexpr int kParts = std::is_same_v<T, simd::bf16> ? 1 : 2;
  static constexpr bool kWhole = true;
  static constexpr int64_t kStreamedRows = 0;

  Int8Weight() = default;

  // Of a weight [columns][depth], row-major: column of the product, row of the weight. Throws Unsupported for
  // one that is infinite or not a number. A group whose largest weight is below 1.5e-36, where 1 / scale is
  // infinite, is zeros.
  template <class W>
  Int8Weight(const W* weight, int64_t columns, int64_t depth)
      : columns_(columns),
        depth_(depth),
        tile_bytes_((depth / kGroup * group_bytes(kGroup) + group_bytes(depth % kGroup) + kLine - 1) / kLine * kLine),
        memory_(size_t(tiles() * tile_bytes_)) {
    std::atomic<bool> finite = true;
    const int64_t grain = (64 << 10) / std::max<int64_t>(1, kTileColumns * depth) + 1;
    plugin::parallel_for(tiles(), grain, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t tile = begin; tile < end; ++tile)
        for (int half = 0; half < 2; ++half)
          if (!pack(weight, tile, half * simd::kLanes)) finite = false;
    });
    if (!finite) throw plugin::Unsupported("a weight is infinite or not a number, which 8 bits do not hold");
  }

  int64_t columns() const { return columns_; }
  int64_t depth() const { return depth_; }
  int64_t tiles() const { return padded_columns(columns_) / kTileColumns; }

  int64_t tile_bytes() const { return tile_bytes_; }

  // How many of a column stand side by side: see tile().
  static int64_t together() { return whole::available() ? whole::kTogether : 1; }

  // Tile i: columns [i, i + 1) * kTileColumns, those beyond the last being zeros. For each group of its depth
  // bf16 scales[kTileColumns], then int8 q[depth of the group / together(), rounded
  // up][kTileColumns][together()], with whole::kFlipped bits if more than one stand together.
  const int8_t* tile(int64_t i) const { return memory_.data<int8_t>() + i * tile_bytes_; }
  static const simd::bf16* scales(const int8_t* group) { return reinterpret_cast<const simd::bf16*>(group); }
  static const int8_t* values(const int8_t* group) { return group + kScaleBytes; }
  int64_t group_depth(int64_t k) const { return std::min(kGroup, depth_ - k); }
  // Of a group with its scales, and so to the next one.
  static int64_t group_bytes(int64_t depth) {
    if (depth == 0) return 0;
    return kScaleBytes + kTileColumns * ((depth + together() - 1) / together() * together());
  }

  // Columns [first, first + count), of which the first stands at the beginning of a tile, as floats for
  // PackedColumns.
  PackedColumns<float> unpack(int64_t first, int64_t count, float* memory) const {
    float* to = memory;
    for (int64_t i = first / kTileColumns; i * kTileColumns < first + count; ++i) {
      const int8_t* from = tile(i);
      for (int64_t k = 0; k < depth_; k += kGroup) {
        unpack_group(from, group_depth(k), to);
        from += group_bytes(group_depth(k)), to += group_depth(k) * kTileColumns;
      }
    }
    return {memory, count, depth_};
  }

#if defined(GRAFT_TILES)
  // The same as tiles of bf16 in one part or two, for TileColumns.
  template <int Parts>
  void unpack_tiles(int64_t first, int64_t count, simd::bf16* high, simd::bf16* low) const {
    using namespace simd;
    static_assert(kTileColumns == 2 * 16 && kGroup % tiles::kDepth == 0);
    const int64_t half_size = tiles::whole_depth(depth_) * 16;  // of 16 columns
    float values[kGroup * kTileColumns];
    for (int64_t column = 0; column < count; column += kTileColumns) {
      const int8_t* group = tile((first + column) / kTileColumns);
      int64_t at = column / 16 * half_size;
      for (int64_t k = 0; k < depth_; k += kGroup) {
        const int64_t depth = group_depth(k), whole_depth = tiles::whole_depth(depth);
        unpack_group(group, depth, values);
        std::fill(values + depth * kTileColumns, values + whole_depth * kTileColumns, 0.0f);
        for (const float* from = values; from < values + whole_depth * kTileColumns;
             from += 2 * kTileColumns, at += 2 * 16)
          for (int half = 0; half < 2; ++half) {
            const Vec even = load(from + half * 16), odd = load(from + kTileColumns + half * 16);
            tiles::store(tiles::rounded_pairs(even, odd), high + at + half * half_size);
            if constexpr (Parts == 2)
              tiles::store(tiles::rounded_pairs(even - tiles::rounded(even), odd - tiles::rounded(odd)),
                           low + at + half * half_size);
          }
        group += group_bytes(depth);
      }
    }
  }
#endif

#if defined(GRAFT_WHOLE_PRODUCTS)
  // The same as pairs of 16 bits, for WholeColumns: of each tile, for each group of its depth, a whole one
  // with zeros behind the last, float scales[kTileColumns] and int16 q[kGroup / 2][kTileColumns][2].
  void unpack_pairs(int64_t first, int64_t count, int16_t* to) const {
    using namespace simd;
    constexpr int64_t kApart = 2 * kTileColumns;
    for (int64_t i = first / kTileColumns; i * kTileColumns < first + count; ++i) {
      const int8_t* group = tile(i);
      for (int64_t k = 0; k < depth_; k += kGroup) {
        for (int half = 0; half < 2; ++half)
          store(reinterpret_cast<float*>(to) + half * kLanes, load(scales(group) + half * kLanes));
        to += kApart;
        const int64_t bytes = group_bytes(group_depth(k));
        const int8_t *from = values(group), *end = group + bytes;
        for (int16_t* pairs = to; from < end; pairs += whole::kTogether / 2 * kApart)
          for (int half = 0; half < 2; ++half, from += whole::kTogether * kLanes)
            whole::store_pairs(whole::load(from), pairs + half * 2 * kLanes, kApart);
        std::fill(to + bytes - kScaleBytes, to + kGroup * kTileColumns, int16_t{0});
        to += kGroup * kTileColumns, group += bytes;
      }
    }
  }
#endif

  // to[depth][kTileColumns]
  static void unpack_group(const int8_t* group, int64_t depth, float* to) {
    using namespace simd;
    const Vec scale0 = load(scales(group)), scale1 = load(scales(group) + kLanes);
    const int8_t* from = values(group);
#if defined(GRAFT_WHOLE_PRODUCTS)
    if (whole::available()) {
      constexpr int kTogether = whole::kTogether;
      for (int64_t k = 0; k < depth; k += kTogether, from += kTogether * kTileColumns) {
        const whole::Weights q0 = whole::load(from), q1 = whole::load(from + kTogether * kLanes);
        for (int j = 0; j < kTogether && k + j < depth; ++j, to += kTileColumns) {
          store(to, whole::widened(q0, j) * scale0);
          store(to + kLanes, whole::widened(q1, j) * scale1);
        }
      }
      return;
    }
#endif
    for (int64_t k = 0; k < depth; ++k, from += kTileColumns, to += kTileColumns) {
      store(to, load(from) * scale0);
      store(to + kLanes, load(from + kLanes) * scale1);
    }
  }

 private:
  static constexpr int64_t kScaleBytes = kTileColumns * int64_t{sizeof(simd::bf16)};
  static constexpr int64_t kLine = 64;

  // kLanes columns of a tile, from `half` on. False: a weight is not finite.
  template <class W>
  bool pack(const W* weight, int64_t tile, int half) {
    using namespace simd;
    const int64_t column = tile * kTileColumns + half;
    int8_t* to = memory_.data<int8_t>() + tile * tile_bytes_;
    for (int64_t k = 0; k < depth_; k += kGroup) {
      const int64_t count = group_depth(k);
      bf16 scale[kLanes] = {};
      float inverse[kLanes] = {};
      for (int i = 0; i < kLanes && column + i < columns_; ++i) {
        constexpr float kSmallest = 1.5e-36f;
        const float largest = simd::largest_magnitude(weight + (column + i) * depth_ + k, count);
        if (std::isnan(largest)) return false;
        if (largest < kSmallest) continue;
        scale[i] = rounded_up(largest / 127);
        inverse[i] = 1 / to_real(scale[i]);
      }
      std::copy_n(scale, kLanes, reinterpret_cast<bf16*>(to) + half);
      int8_t* group = to;
      to += group_bytes(count);
      if (whole::available()) {
        pack_together(weight, column, half, k, count, inverse, group + kScaleBytes);
        continue;
      }
      group += kScaleBytes;
      for_lanes(count, [&](int64_t at, auto n) {
        Vec block[kLanes];
        for (int i = 0; i < kLanes; ++i)
          block[i] = column + i < columns_ ? load(weight + (column + i) * depth_ + k + at, n) : zero();
        transpose(block);
        for (int i = 0; i < n; ++i) store(group + (at + i) * kTileColumns + half, block[i] * load(inverse));
      });
    }
    return true;
  }

  // The least bf16 that is not below x >= 0, which is finite.
  static simd::bf16 rounded_up(float x) {
    return {uint16_t((std::bit_cast<uint32_t>(x) + 0xffff) >> 16)};
  }

  template <class W>
  void pack_together(const W* weight, int64_t column, int half, int64_t k, int64_t count,
                     const float* inverse, int8_t* to) const {
    using namespace simd;
    constexpr int kTogether = whole::kTogether;
    for (int i = 0; i < kLanes; ++i)
      for_lanes(count, [&](int64_t at, auto n) {
        int8_t q[kLanes] = {};
        if (column + i < columns_)
          store(q, load(weight + (column + i) * depth_ + k + at, n) * broadcast(inverse[i]));
        for (int j = 0; j < kLanes; ++j) q[j] = int8_t(q[j] ^ whole::kFlipped);
        for (int j = 0; j < n; j += kTogether)
          std::memcpy(to + (at + j) * kTileColumns + (half + i) * kTogether, q + j, kTogether);
      });
  }

  int64_t columns_ = 0, depth_ = 0, tile_bytes_ = 0;
  PackedMemory memory_;
};

}  // namespace graft
