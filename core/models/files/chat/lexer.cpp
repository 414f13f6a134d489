#include "chat/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "chat/value.h"

namespace graft::jinja {
namespace {

constexpr std::string_view blanks = " \t\n\v\f";

bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// One kind of newline, and none at the end: what Jinja does before anything else.
std::string unify_newlines(std::string_view source) {
  std::string result;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      result += source[i];
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

void append_utf8(std::string& out, unsigned c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
            static_cast<char>(0x80 | (c & 0x3F))};
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(unify_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag();
      text_until(tag);
      if (tag == source_.size()) break;
      const char kind = source_[tag + 1];
      advance_to(tag + 2);
      if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) advance_to(at_ + 1);
      if (kind == '#') {
        comment();
      } else {
        inside(kind == '%');
      }
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  [[noreturn]] void fail(const std::string& why) const {
    throw Failure{ErrorCode::corrupt, why + ", line " + std::to_string(line_)};
  }
  bool next_is(std::string_view text) const {
    return std::string_view(source_).substr(at_).starts_with(text);
  }
  void advance_to(std::size_t position) {
    position = std::min(position, source_.size());
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    at_ = position;
  }

  std::size_t find_tag() const {
    for (std::size_t i = at_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return source_.size();
  }

  // Text up to the tag, less what the tag strips: all white space with -, its line's indent if it is {% or
  // {#.
  void text_until(std::size_t tag) {
    std::string text = source_.substr(at_, tag - at_);
    const char control = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (tag < source_.size() && control == '-') {
      text.erase(text.find_last_not_of(blanks) + 1);
    } else if (tag < source_.size() && control != '+' && source_[tag + 1] != '{') {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line_begin = newline == std::string::npos ? 0 : newline + 1;
      const bool whole_line = newline != std::string::npos || at_line_start_;
      if (whole_line && text.find_first_not_of(blanks, line_begin) == std::string::npos)
        text.erase(line_begin);
    }
    if (!text.empty()) add(TokenKind::text, std::move(text));
    advance_to(tag);
  }

  // Past the tag's end, and what it strips: all white space with -, one newline if it is %} or #}.
  void close(bool minus, bool trims_newline) {
    const std::size_t before = at_;
    if (minus) {
      advance_to(source_.find_first_not_of(blanks, at_));
    } else if (trims_newline && next_is("\n")) {
      advance_to(at_ + 1);
    }
    at_line_start_ = at_ > before && source_[at_ - 1] == '\n';
  }

  void comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail("a comment without #}");
    const char control = end > at_ ? source_[end - 1] : '\0';
    advance_to(end + 2);
    close(control == '-', control != '+');
  }

  void inside(bool statement) {
    add(statement ? TokenKind::statement_begin : TokenKind::output_begin, "");
    const std::string_view end = statement ? "%}" : "}}";
    std::string open;  // brackets that are not closed yet: }} may close two dicts
    for (;;) {
      advance_to(source_.find_first_not_of(blanks, at_));
      if (at_ >= source_.size()) fail("a tag without " + std::string(end));
      if (open.empty()) {
        const bool control = source_[at_] == '-' || (statement && source_[at_] == '+');
        if (std::string_view(source_).substr(at_ + (control ? 1 : 0)).starts_with(end)) {
          const char sign = control ? source_[at_] : '\0';
          add(statement ? TokenKind::statement_end : TokenKind::output_end, "");
          advance_to(at_ + (control ? 1 : 0) + end.size());
          return close(sign == '-', statement && sign != '+');
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = source_[at_];
    if (is_name_start(c))
      return word(TokenKind::name, [](char x) { return is_name_start(x) || is_digit(x); });
    if (is_digit(c)) return numeral();
    if (c == '"' || c == '\'') return string_literal(c);
    static constexpr std::array<std::string_view, 6> pairs{"==", "!=", "<=", ">=", "//", "**"};
    for (const std::string_view pair : pairs) {
      if (next_is(pair)) return symbol(std::string(pair));
    }
    if (std::string_view("+-*/%~<>=.:|,()[]{}").find(c) == std::string_view::npos) {
      fail(std::string("unexpected character ") + c);
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) fail(std::string("unexpected ") + c);
      open.pop_back();
    }
    symbol(std::string(1, c));
  }

  void symbol(std::string text) {
    const std::size_t size = text.size();
    add(TokenKind::symbol, std::move(text));
    advance_to(at_ + size);
  }

  template <typename Belongs>
  void word(TokenKind kind, Belongs belongs) {
    std::size_t end = at_;
    while (end < source_.size() && belongs(source_[end])) ++end;
    add(kind, source_.substr(at_, end - at_));
    advance_to(end);
  }

  void numeral() {
    word(TokenKind::integer, is_digit);
    if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
      std::string whole = std::move(tokens_.back().text);
      tokens_.pop_back();
      advance_to(at_ + 1);
      word(TokenKind::real, is_digit);
      tokens_.back().text = whole + "." + tokens_.back().text;
    }
    if (at_ < source_.size() && is_name_start(source_[at_])) fail("a number followed by a letter");
  }

  void string_literal(char quote) {
    std::string text;
    std::size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\') {
        text += source_[i];
      } else {
        i = escape(i + 1, text);
      }
    }
    if (i >= source_.size()) fail("a string without its closing quote");
    add(TokenKind::string, std::move(text));
    advance_to(i + 1);
  }

  // Appends what the escape at `i` (after the backslash) stands for; returns its last position.
  std::size_t escape(std::size_t i, std::string& text) {
    if (i >= source_.size()) fail("a string without its closing quote");
    switch (source_[i]) {
      case 'n':
        text += '\n';
        return i;
      case 't':
        text += '\t';
        return i;
      case 'r':
        text += '\r';
        return i;
      case '\\':
      case '\'':
      case '"':
        text += source_[i];
        return i;
      case '\n':
        return i;
      case 'x':
      case 'u': {
        const std::size_t count = source_[i] == 'x' ? 2 : 4;
        const std::string digits = source_.substr(i + 1, count);
        const bool hex = digits.size() == count &&
                         std::all_of(digits.begin(), digits.end(),
                                     [](unsigned char digit) { return std::isxdigit(digit) != 0; });
        const unsigned c = hex ? static_cast<unsigned>(std::stoul(digits, nullptr, 16)) : 0xD800;
        if (c >= 0xD800 && c < 0xE000) fail("a \\x or \\u escape that is not a character");
        append_utf8(text, c);
        return i + count;
      }
      default:
        break;
    }
    if (std::isalnum(static_cast<unsigned char>(source_[i])))
      fail(std::string("the escape \\") + source_[i] + " is not supported");
    text += '\\';
    text += source_[i];
    return i;
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace graft::jinja
