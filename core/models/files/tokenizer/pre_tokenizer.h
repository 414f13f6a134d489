// tokenizer.json's "pre_tokenizer": text to words, within which BPE merges.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "json_text.h"
#include "tokenizer/regex.h"

namespace graft::detail {

/// Immutable; thread-safe.
class PreTokenizer {
 public:
  /// Errors: unsupported (a type outside Split, Digits, ByteLevel, Sequence; ByteLevel missing or not last),
  /// corrupt.
  explicit PreTokenizer(const Fields& json);

  /// Calls `word` for each word of `text` (valid UTF-8, not empty), left to right. A word's view lives for
  /// its call.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
  struct Splitter {
    Regex regex;
    Behavior behavior;
    bool invert;
  };
  struct Piece {
    std::size_t begin, end;
    bool matched;
  };

  void add(const Fields& json);
  static Behavior parse_behavior(const Fields& json);
  static std::vector<Piece> cut(const Splitter& splitter, std::string_view text);
  static std::vector<Piece> arrange(Behavior behavior, const std::vector<Piece>& pieces);
  static void apply(const Splitter& splitter, std::string_view text, std::vector<std::string_view>& words);

  std::vector<Splitter> splitters_;
  std::vector<Splitter> byte_level_;  // one splitter, or none if use_regex is off
  bool ends_in_byte_level_ = false;
  bool add_prefix_space_ = false;
};

}  // namespace graft::detail
