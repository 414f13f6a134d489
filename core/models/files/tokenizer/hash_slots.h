// Slots of an open-addressing hash table that is filled once, two thirds of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::detail {

/// At least one stays empty, where a search ends.
constexpr std::size_t slots_for(std::size_t entries) {
  return entries + entries / 2 + 1;
}

/// The slot where a search ends: ends(slot), of an empty one or the one looked for. It begins by the hash's
/// 32 high bits, which mix all of what they are of; fewer than 2^32 slots. Source: Lemire 2019, "Fast Random
/// Integer Generation in an Interval", arXiv:1805.10941.
template <class Ends>
std::size_t find_slot(std::uint64_t hash, std::size_t slots, const Ends& ends) {
  auto at = static_cast<std::size_t>((hash >> 32) * slots >> 32);
  while (!ends(at)) at = at + 1 == slots ? 0 : at + 1;
  return at;
}

}  // namespace graft::detail
