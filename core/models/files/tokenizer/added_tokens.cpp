#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/regex.h"
#include "tokenizer/utf8.h"

namespace graft::detail {
namespace {

std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
  return text.substr(at);
}

std::string_view first_character_of(std::string_view text) {
  return text.substr(0, first_character(text).length);
}

bool is_word(std::string_view character) {
  // Rust's \w: what Oniguruma's takes, and the two joiners.
  static const Regex word = Regex::oniguruma(R"([\w\u200C\u200D])", "added tokens");
  return !word.find_all(character).empty();
}

bool touches_word(std::string_view before, std::string_view after) {
  return (!before.empty() && is_word(last_character(before))) ||
         (!after.empty() && is_word(first_character_of(after)));
}

std::size_t spaces_at_end(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const std::string_view last = last_character(text.substr(0, text.size() - size));
    if (!is_white_space(code_point(last))) break;
    size += last.size();
  }
  return size;
}

std::size_t spaces_at_start(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const std::string_view first = first_character_of(text.substr(size));
    if (!is_white_space(code_point(first))) break;
    size += first.size();
  }
  return size;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  std::string key = token.content;
  tokens_.insert_or_assign(std::move(key), std::move(token));
}

void AddedTokens::prepare(const Normalizer& normalizer) {
  for (const auto& [content, token] : tokens_) {
    if (token.normalized) {
      normalized_.add(normalizer(content), &token);
    } else {
      raw_.add(content, &token);
    }
  }
}

void AddedTokens::Finder::add(std::string text, const AddedToken* token) {
  if (text.empty()) return;
  auto& patterns = by_first_byte[static_cast<std::uint8_t>(text[0])];
  const auto shorter = std::find_if(patterns.begin(), patterns.end(),
                                    [&](const Pattern& other) { return other.text.size() < text.size(); });
  patterns.insert(shorter, {std::move(text), token});
}

const AddedTokens::Finder::Pattern* AddedTokens::Finder::find(std::string_view text, std::size_t& at) const {
  for (; at < text.size(); ++at) {
    for (const Pattern& pattern : by_first_byte[static_cast<std::uint8_t>(text[at])]) {
      if (text.substr(at).starts_with(pattern.text)) return &pattern;
    }
  }
  return nullptr;
}

// The reference implementation's loop, in its order: a token that strips may reach into its neighbours.
void AddedTokens::Finder::split(std::string_view text, const Visit& visit) const {
  std::size_t reached = 0, at = 0;
  while (const Pattern* pattern = find(text, at)) {
    const AddedToken& token = *pattern->token;
    std::size_t begin = at, end = at + pattern->text.size();
    at = end;
    if (token.single_word && touches_word(text.substr(0, begin), text.substr(end))) continue;
    if (token.lstrip) begin = std::max(begin - spaces_at_end(text.substr(0, begin)), reached);
    if (token.rstrip) end += spaces_at_start(text.substr(end));
    if (begin > reached) visit(nullptr, text.substr(reached, begin - reached));
    if (begin < end) visit(&token, text.substr(begin, end - begin));  // else the one before took all of it
    reached = end;
  }
  if (reached < text.size()) visit(nullptr, text.substr(reached));
}

}  // namespace graft::detail
