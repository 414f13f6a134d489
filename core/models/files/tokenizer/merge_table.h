// Which pairs of tokens merge, how early, and into what. BPE asks this for every pair of neighbours: one
// probe, one cache line, which std::unordered_map does not give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/hash_slots.h"

namespace graft::detail {

/// An open-addressing hash table, filled once; then thread-safe.
class MergeTable {
 public:
  struct Merge {
    std::int32_t left, right;
    std::int32_t rank;    // lower merges first
    std::int32_t result;  // the token that the pair becomes
  };

  /// The table for `merges`; of two with one pair the later counts. Ids are 0 or more.
  MergeTable() = default;
  explicit MergeTable(const std::vector<Merge>& merges)
      : slots_(slots_for(merges.size()), Merge{empty, empty, 0, 0}) {
    for (const Merge& merge : merges) slots_[slot_of(merge.left, merge.right)] = merge;
  }

  /// nullptr if the pair does not merge.
  const Merge* find(std::int32_t left, std::int32_t right) const {
    if (slots_.empty()) return nullptr;
    const Merge& slot = slots_[slot_of(left, right)];
    return slot.left == empty ? nullptr : &slot;
  }

 private:
  static constexpr std::int32_t empty = -1;

  std::size_t slot_of(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key =
        std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
    return find_slot(key * 0x9E3779B97F4A7C15u, slots_.size(), [&](std::size_t at) {  // Fibonacci hashing
      return slots_[at].left == empty || (slots_[at].left == left && slots_[at].right == right);
    });
  }

  std::vector<Merge> slots_;
};

}  // namespace graft::detail
