// Slots of an open-addressing hash table that is filled once, two thirds of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::detail {

/// At least one stays empty, where a search ends.
constexpr std::size_t slots_for(std::size_t entries) {
  return entries + entries / 2 + 1;
}

/// By the hash's 32 high bits, which mix all of what they are of; fewer than 2^32 slots. Source: Lemire 2019,
/// "Fast Random Integer Generation in an Interval", arXiv:1805.10941.
constexpr std::size_t slot_of_hash(std::uint64_t hash, std::size_t slots) {
  return static_cast<std::size_t>((hash >> 32) * slots >> 32);
}

constexpr std::size_t next_slot(std::size_t at, std::size_t slots) {
  return at + 1 == slots ? 0 : at + 1;
}

}  // namespace graft::detail
