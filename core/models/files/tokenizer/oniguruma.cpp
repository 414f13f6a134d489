// Where Oniguruma and PCRE2 read the same pattern differently: rewritten if there is an equal, refused if
// not.
#include <algorithm>
#include <array>

#include "graft/error.h"
#include "tokenizer/regex.h"

namespace graft::detail {
namespace {

constexpr std::string_view word_members = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Outside [ ] Oniguruma looks Latin-1 up in another table, in which superscripts and fractions are word
// characters.
constexpr std::string_view latin_word_members = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& source) : pattern_(pattern), source_(source) {}

  std::string translate() {
    while (!done()) {
      const char c = peek();
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        interval();
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  bool done() const { return at_ >= pattern_.size(); }
  char peek() const { return pattern_[at_]; }
  bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void copy(std::size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  [[noreturn]] void refuse(const std::string& construct) const {
    throw Error(ErrorCode::unsupported, source_,
                "regular expression \"" + std::string(pattern_) + "\": " + construct + " is not supported",
                "use a model with another tokenizer");
  }

  void escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) refuse("a \\ at the end");
    const char c = pattern_[at_ + 1];
    const auto emit = [&](std::string_view text) {
      out_ += text;
      at_ += 2;
    };
    switch (c) {
      // PCRE2's \s takes U+180E too, and its \w leaves marks out.
      case 's':
        return emit(R"(\p{White_Space})");
      case 'S':
        return emit(R"(\P{White_Space})");
      case 'd':
        return emit(R"(\p{Nd})");
      case 'D':
        return emit(R"(\P{Nd})");
      case 'w':
        return in_class ? emit(word_members) : emit(word_class("["));
      case 'W':
        if (in_class) refuse("\\W within [ ]");
        return emit(word_class("[^"));
      case 'p':
      case 'P':
        return property();
      case 'u': {
        const std::string_view digits = pattern_.substr(at_ + 2, 4);
        const bool hex =
            digits.size() == 4 && std::all_of(digits.begin(), digits.end(),
                                              [](unsigned char digit) { return std::isxdigit(digit) != 0; });
        if (!hex) refuse("\\u without four digits");
        out_ += "\\x{" + std::string(digits) + "}";
        at_ += 6;
        return;
      }
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'a':
      case 'e':
      case 'x':
        return copy(2);
      case 'A':
      case 'z':
      case 'Z':
        if (!in_class) return copy(2);
        break;
      default:
        break;
    }
    if (std::isalnum(static_cast<unsigned char>(c))) refuse(std::string("\\") + c);
    copy(2);
  }

  static std::string word_class(std::string_view opening) {
    return std::string(opening) + std::string(word_members) + std::string(latin_word_members) + "]";
  }

  // PCRE2 takes a script's name for its extensions; Oniguruma for the script alone.
  void property() {
    const std::size_t close = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos) {
      refuse("\\p without { }");
    }
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    bool negated = pattern_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    static constexpr std::array<std::string_view, 5> binary{"Alphabetic", "White_Space", "Uppercase",
                                                            "Lowercase", "Any"};
    const bool plain = name.size() <= 2 || std::find(binary.begin(), binary.end(), name) != binary.end();
    out_ += std::string(negated ? "\\P{" : "\\p{") + (plain ? "" : "sc:") + std::string(name) + "}";
    at_ = close + 1;
  }

  void character_class() {
    copy(1);
    if (!done() && peek() == '^') copy(1);
    if (!done() && peek() == ']') refuse("] as the first in [ ]");
    while (!done() && peek() != ']') {
      if (peek() == '[') refuse("[ within [ ]");
      if (next_is("&&")) refuse("&& within [ ]");
      if (peek() == '\\') {
        escape(true);
      } else {
        copy(1);
      }
    }
    if (done()) refuse("[ without ]");
    copy(1);
  }

  void group() {
    if (next_is("(*")) refuse("(*");
    static constexpr std::array<std::string_view, 8> known{
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    for (const std::string_view opening : known) {
      if (next_is(opening)) return copy(opening.size());
    }
    if (next_is("(?i)") && at_ == 0) return copy(4);  // elsewhere the two disagree on how far it reaches
    if (next_is("(?")) refuse(std::string(pattern_.substr(at_, 4)));
    copy(1);
  }

  // {n}+ is possessive in PCRE2 and a repeat of a repeat in Ruby; {,n} is literal text in PCRE2.
  void interval() {
    if (next_is("{,")) refuse("{,n}");
    const std::size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos) refuse("{ without }");
    const char after = close + 1 < pattern_.size() ? pattern_[close + 1] : '\0';
    if (after == '+' || after == '?') refuse(std::string("{n}") + after);
    copy(close + 1 - at_);
  }

  std::string_view pattern_;
  const std::string& source_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string oniguruma_to_pcre2(std::string_view pattern, const std::string& source) {
  return Translator(pattern, source).translate();
}

}  // namespace graft::detail
