// Words and the ids they gave: text repeats its words, and a look-up is several times faster than merging
// again.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace graft::detail {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

/// Thread-safe. Bounded: short words only, and a full shard takes no more.
class WordCache {
 public:
  /// Appends the word's ids if it is known.
  bool append(std::string_view word, std::vector<std::int64_t>& ids) const {
    if (word.size() > longest_word) return false;
    const Shard& shard = shard_of(word);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.words.find(word);
    if (found == shard.words.end()) return false;
    ids.insert(ids.end(), found->second.begin(), found->second.end());
    return true;
  }

  void remember(std::string_view word, const std::vector<std::int32_t>& ids) {
    if (word.size() > longest_word) return;
    Shard& shard = shard_of(word);
    const std::lock_guard lock(shard.mutex);
    if (shard.words.size() < words_per_shard) shard.words.emplace(word, ids);
  }

 private:
  static constexpr std::size_t longest_word = 48;  // bytes
  static constexpr std::size_t words_per_shard = 2048;

  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, std::vector<std::int32_t>, StringHash, std::equal_to<>> words;
  };

  const Shard& shard_of(std::string_view word) const { return shards_[StringHash{}(word) % shards_.size()]; }
  Shard& shard_of(std::string_view word) { return shards_[StringHash{}(word) % shards_.size()]; }

  std::array<Shard, 16> shards_;
};

}  // namespace graft::detail
