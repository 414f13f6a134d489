// Tokens to a program.
#pragma once

#include <string>
#include <vector>

#include "chat/lexer.h"
#include "chat/program.h"

namespace graft::jinja {

/// Throws Failure (corrupt, unsupported) whose text ends with the line.
Statement parse(std::vector<Token> tokens);

/// Where the parsers stand in the tokens.
class Tokens {
 public:
  explicit Tokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek() const { return tokens_[at_]; }
  Token take() { return tokens_[at_].kind == TokenKind::end ? tokens_[at_] : tokens_[at_++]; }
  bool is(TokenKind kind, std::string_view text = {}) const {
    return peek().kind == kind && (text.empty() || peek().text == text);
  }
  bool is_symbol(std::string_view text) const { return is(TokenKind::symbol, text); }
  bool is_word(std::string_view text) const { return is(TokenKind::name, text); }
  bool accept_symbol(std::string_view text) { return is_symbol(text) && (take(), true); }
  bool accept_word(std::string_view text) { return is_word(text) && (take(), true); }
  void expect(TokenKind kind, std::string_view text, const std::string& what);
  std::string expect_name();
  [[noreturn]] void fail(const std::string& why) const;          // corrupt
  [[noreturn]] void refuse(const std::string& construct) const;  // unsupported

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// One expression; `with_condition` false leaves "a if b" to the caller, as for loops need it.
Expression parse_expression(Tokens& tokens, bool with_condition = true);

}  // namespace graft::jinja
