#include "tokenizer/byte_level.h"

#include <array>
#include <unordered_map>

#include "tokenizer/utf8.h"

namespace graft::detail {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::unordered_map<std::string, std::uint8_t> bytes;

  Alphabet() {
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
      bytes.emplace(character, static_cast<std::uint8_t>(byte));
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
  std::string result;
  for (std::size_t at = 0; at < token.size();) {
    const std::size_t length = first_character(token.substr(at)).length;
    const auto found = alphabet().bytes.find(std::string(token.substr(at, length)));
    if (found == alphabet().bytes.end()) return std::string(token);
    result += static_cast<char>(found->second);
    at += length;
  }
  return result;
}

std::string token_of_bytes(std::string_view bytes) {
  std::string result;
  for (const char byte : bytes) result += character_of_byte(static_cast<std::uint8_t>(byte));
  return result;
}

}  // namespace graft::detail
