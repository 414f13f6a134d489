// tokenizer.json's "added_tokens": tokens such as <|im_start|> that are found in the text before anything
// else is.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/normalizer.h"

namespace graft::detail {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = true;    // found in normalised text
  bool special = false;      // decode can leave it out
};

/// Filled with add() and prepare(); from then on immutable and thread-safe.
class AddedTokens {
 public:
  /// Called with a part of the text: that of a token, or text between tokens (token is null, and text is not
  /// empty).
  using Visit = std::function<void(const AddedToken* token, std::string_view text)>;

  /// A token whose content was added before replaces it.
  void add(AddedToken token);
  void prepare(const Normalizer& normalizer);

  const std::map<std::string, AddedToken, std::less<>>& all() const { return tokens_; }

  /// `text` (valid UTF-8) cut at the tokens that are found before and after normalisation.
  void split_raw(std::string_view text, const Visit& visit) const { raw_.split(text, visit); }
  void split_normalized(std::string_view text, const Visit& visit) const { normalized_.split(text, visit); }

 private:
  /// Finds the leftmost of its patterns, and of those the longest.
  struct Finder {
    struct Pattern {
      std::string text;
      const AddedToken* token;
    };
    std::array<std::vector<Pattern>, 256> by_first_byte;  // longest first

    void add(std::string text, const AddedToken* token);
    const Pattern* find(std::string_view text, std::size_t& at) const;
    void split(std::string_view text, const Visit& visit) const;
  };

  std::map<std::string, AddedToken, std::less<>> tokens_;
  Finder raw_, normalized_;
};

}  // namespace graft::detail
