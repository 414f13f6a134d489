// Decoding token by token, for output that appears as it is generated.
#pragma once

#include <cstdint>
#include <string>

#include "graft/tokenizer.h"

namespace graft {

/// Gives text as soon as whole characters are there: a character may span tokens. All that push() and
/// finish() return, joined, is what Tokenizer::decode gives for the same ids. One stream per sequence; not
/// thread-safe.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, DecodeOptions options = {})
      : tokenizer_(std::move(tokenizer)), options_(options) {}

  /// Whole characters that this token completed; often empty for scripts whose characters take several
  /// tokens.
  std::string push(std::int64_t id);

  /// What is left: U+FFFD if the sequence ended inside a character. The stream can be used again.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  DecodeOptions options_;
  std::string pending_;  // at most 3 bytes between calls: the start of a character
};

}  // namespace graft
