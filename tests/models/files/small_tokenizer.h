// A tokenizer.json with the 256 bytes, a few merges and what a test changes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "graft/tokenizer.h"

namespace graft::testing {

using Ids = std::vector<std::int64_t>;

/// GPT-2's character for a byte; tokens of the file are spelt in these.
inline std::string spelling(unsigned byte) {
  const auto prints = [](unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  unsigned c = byte;
  if (!prints(byte)) {
    c = 256;
    for (unsigned other = 0; other < byte; ++other) c += prints(other) ? 0 : 1;
  }
  if (c < 0x80) return std::string(1, static_cast<char>(c));
  return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
}

/// Token ids: 0 to 255 the bytes, then "he", "ll", "hell", "hello", "Ġhello", "lo", "ab", "abc", "bc".
inline nlohmann::json small_tokenizer() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (unsigned byte = 0; byte < 256; ++byte) vocabulary[spelling(byte)] = byte;
  int next = 256;
  for (const char* token : {"he", "ll", "hell", "hello", "\u0120hello", "lo", "ab", "abc", "bc"})
    vocabulary[token] = next++;
  const nlohmann::json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"added_tokens", nlohmann::json::array()},
          {"model",
           {{"type", "BPE"},
            {"vocab", vocabulary},
            {"merges", {"h e", "l l", "he ll", "hell o", "\u0120 hello", "l o", "b c", "a b", "ab c"}}}}};
}

inline nlohmann::json added_token(int id, const std::string& content,
                                  nlohmann::json flags = nlohmann::json::object()) {
  nlohmann::json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                          {"rstrip", false}, {"normalized", false}, {"special", false}};
  token.update(flags);
  return token;
}

inline Tokenizer make(const nlohmann::json& json, const nlohmann::json& config = nlohmann::json::object()) {
  return Tokenizer::from_json(json.dump(), config.dump());
}

/// The tokens' bytes, which read better than ids.
inline std::vector<std::string> words(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> result;
  for (const std::int64_t id : tokenizer.encode(text)) result.emplace_back(tokenizer.token_bytes(id));
  return result;
}

}  // namespace graft::testing
