#include "chat/text.h"

#include <algorithm>
#include <cctype>

#include "chat/value.h"
#include "tokenizer/utf8.h"

namespace graft::jinja {
namespace {

// Python counts the four separators of ASCII as white space too.
bool is_space(std::string_view character) {
  const char32_t c = detail::code_point(character);
  return detail::is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

void need_ascii(const std::string& text) {
  if (!detail::is_ascii(text)) unsupported("changing the case of text outside ASCII");
}

char to_upper(char c) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}
char to_lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

std::vector<std::string> split_at_spaces(const std::string& text, std::int64_t limit) {
  std::vector<std::string> parts;
  const auto all = characters(text);
  std::size_t i = 0;
  const auto skip_spaces = [&] {
    while (i < all.size() && is_space(all[i])) ++i;
  };
  for (skip_spaces(); i < all.size(); skip_spaces()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(
          strip(text.substr(static_cast<std::size_t>(all[i].data() - text.data())), Sides::right, nullptr));
      break;
    }
    std::string part;
    for (; i < all.size() && !is_space(all[i]); ++i) part += all[i];
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

std::string strip(const std::string& text, Sides sides, const std::string* which) {
  const auto all = characters(text);
  const auto set = which ? characters(*which) : std::vector<std::string_view>{};
  const auto goes = [&](std::string_view character) {
    return which ? std::find(set.begin(), set.end(), character) != set.end() : is_space(character);
  };
  std::size_t begin = 0, end = all.size();
  if (sides != Sides::right)
    while (begin < end && goes(all[begin])) ++begin;
  if (sides != Sides::left)
    while (end > begin && goes(all[end - 1])) --end;
  if (begin == end) return {};
  return std::string(all[begin].data(), all[end - 1].data() + all[end - 1].size());
}

std::vector<std::string> split(const std::string& text, const std::string* separator, std::int64_t limit) {
  if (!separator) return split_at_spaces(text, limit);
  if (separator->empty()) misuse("split at an empty string");
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = limit >= 0 && static_cast<std::int64_t>(parts.size()) >= limit
                                ? std::string::npos
                                : text.find(*separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + separator->size();
  }
}

std::string replace(const std::string& text, const std::string& from, const std::string& to,
                    std::int64_t limit) {
  if (from.empty()) unsupported("replacing an empty string");
  std::string result;
  std::size_t begin = 0;
  for (std::int64_t count = 0; limit < 0 || count < limit; ++count) {
    const std::size_t found = text.find(from, begin);
    if (found == std::string::npos) break;
    result = checked_size(std::move(result.append(text, begin, found - begin).append(to)));
    begin = found + from.size();
  }
  return result.append(text, begin);
}

std::string upper(const std::string& text) {
  need_ascii(text);
  std::string result = text;
  std::transform(result.begin(), result.end(), result.begin(), to_upper);
  return result;
}

std::string lower(const std::string& text) {
  need_ascii(text);
  std::string result = text;
  std::transform(result.begin(), result.end(), result.begin(), to_lower);
  return result;
}

std::string title(const std::string& text) {
  std::string result = lower(text);
  bool within_word = false;
  for (char& c : result) {
    if (!within_word) c = to_upper(c);
    within_word = std::isalpha(static_cast<unsigned char>(c)) != 0;
  }
  return result;
}

std::string capitalize(const std::string& text) {
  std::string result = lower(text);
  if (!result.empty()) result[0] = to_upper(result[0]);
  return result;
}

}  // namespace graft::jinja
