// Jinja source to tokens, with its white space control settled.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft::jinja {

enum class TokenKind {
  text,
  statement_begin,
  statement_end,
  output_begin,
  output_end,
  name,
  integer,
  real,
  string,
  symbol,
  end
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: without quotes, escapes resolved
  int line;
};

/// As transformers sets Jinja up: trim_blocks, lstrip_blocks. The last token is `end`. Throws Failure whose
/// text ends with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace graft::jinja
