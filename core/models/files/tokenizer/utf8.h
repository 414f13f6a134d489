// UTF-8, one character at a time, with Unicode's rule for what is malformed (Standard 15, table 3-7: one
// U+FFFD for each maximal part of a character), which Rust's from_utf8_lossy and Python's errors="replace"
// share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace graft::detail {

enum class Utf8 { valid, malformed, cut_off /* the text ends inside a character that is right so far */ };

struct Utf8Step {
  Utf8 kind;
  std::size_t length;  // bytes this step covers, 1 to 4
};

/// The first character of `text`, which is not empty.
Utf8Step first_character(std::string_view text);

/// The code point of a valid character.
char32_t code_point(std::string_view character);

/// Appends `text` with U+FFFD for what is malformed. Returns the bytes consumed: all, or up to a character
/// that is cut off at the end, unless `last`, when that becomes U+FFFD too.
std::size_t append_valid(std::string_view text, bool last, std::string& out);

bool is_valid_utf8(std::string_view text);
bool is_ascii(std::string_view text);

/// Unicode's White_Space property.
bool is_white_space(char32_t c);

}  // namespace graft::detail
