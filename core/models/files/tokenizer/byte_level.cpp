#include "tokenizer/byte_level.h"

#include <array>

namespace graft::detail {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<std::int16_t, 512> bytes;  // by character; -1: it stands for none

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 256;  // bytes that do not print take the characters from U+0100 on
    for (int byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t c = prints ? static_cast<char32_t>(byte) : next++;
      std::string& character = characters[static_cast<std::size_t>(byte)];
      if (c < 0x80) {
        character = static_cast<char>(c);
      } else {
        character = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
      }
      bytes[c] = static_cast<std::int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::string& character_of_byte(std::uint8_t byte) {
  return alphabet().characters[byte];
}

std::string bytes_of_token(std::string_view token) {
  const auto& bytes = alphabet().bytes;
  std::string result(token.size(), '\0');
  std::size_t size = 0;
  for (std::size_t at = 0; at < token.size(); ++at) {
    const auto first = static_cast<std::uint8_t>(token[at]);
    std::size_t c = first;
    if (first >= 0x80) {  // the alphabet's other characters have two bytes, the first 0xC2 to 0xC5
      if (first < 0xC2 || first > 0xC7 || at + 1 == token.size()) return std::string(token);
      const auto second = static_cast<std::uint8_t>(token[++at]);
      if ((second & 0xC0) != 0x80) return std::string(token);
      c = (first & 0x1Fu) << 6 | (second & 0x3Fu);
    }
    if (bytes[c] < 0) return std::string(token);
    result[size++] = static_cast<char>(bytes[c]);
  }
  result.resize(size);
  return result;
}

std::string token_of_bytes(std::string_view bytes) {
  std::string result;
  for (const char byte : bytes) result += character_of_byte(static_cast<std::uint8_t>(byte));
  return result;
}

}  // namespace graft::detail
