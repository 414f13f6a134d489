// GPT-2's alphabet: each byte has a printable character that stands for it in tokenizer.json ("Ġ" is the
// space).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace graft::detail {

/// The character for a byte, as UTF-8 of 1 or 2 bytes.
const std::string& character_of_byte(std::uint8_t byte);

/// "Ġthe" → " the". A token with a character outside the alphabet stands for its own UTF-8.
std::string bytes_of_token(std::string_view token);

/// " the" → "Ġthe".
std::string token_of_bytes(std::string_view bytes);

}  // namespace graft::detail
