#include "module_glob.h"

#include <algorithm>

namespace graft {

ModuleGlob::ModuleGlob(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '*' || c == '?') {
      parts_.push_back({c == '*' ? Part::any : Part::one, "", ""});
      continue;
    }
    // As in fnmatch: a "]" that comes first is one of the set, and a "[" that nothing closes is a character like others.
    const bool negated = c == '[' && i + 1 < pattern.size() && pattern[i + 1] == '!';
    const size_t first = i + 1 + negated;
    const size_t end = c == '[' && first < pattern.size() ? pattern.find(']', first + 1) : pattern.npos;
    if (end != pattern.npos) {
      Part part{Part::set, "", "", negated};
      for (size_t k = first; k < end; ++k) {
        if (k + 2 < end && pattern[k + 1] == '-') {
          for (int letter = pattern[k]; letter <= pattern[k + 2]; ++letter) part.members += char(letter);
          k += 2;
        } else {
          part.members += pattern[k];
        }
      }
      parts_.push_back(std::move(part));
      i = end;
      continue;
    }
    if (parts_.empty() || parts_.back().kind != Part::literal) parts_.push_back({Part::literal, "", ""});
    parts_.back().text += c;
  }
}

size_t ModuleGlob::wildcards() const {
  return size_t(std::count_if(parts_.begin(), parts_.end(), [](const Part& part) { return part.kind != Part::literal; }));
}

std::optional<std::vector<std::string>> ModuleGlob::match(std::string_view path) const {
  std::vector<std::string> texts;
  if (!match_from(0, path, texts)) return std::nullopt;
  return texts;
}

bool ModuleGlob::match_from(size_t part, std::string_view rest, std::vector<std::string>& texts) const {
  if (part == parts_.size()) return rest.empty();
  const Part& now = parts_[part];
  if (now.kind == Part::literal) return rest.starts_with(now.text) && match_from(part + 1, rest.substr(now.text.size()), texts);
  const size_t longest = std::min(rest.find('.'), rest.size());
  const auto take = [&](size_t count) {
    texts.emplace_back(rest.substr(0, count));
    if (match_from(part + 1, rest.substr(count), texts)) return true;
    texts.pop_back();
    return false;
  };
  if (now.kind != Part::any) {
    if (longest == 0) return false;
    if (now.kind == Part::set && (now.members.find(rest[0]) != std::string::npos) == now.negated) return false;
    return take(1);
  }
  for (size_t count = longest + 1; count-- > 0;) {
    if (take(count)) return true;
  }
  return false;
}

std::string ModuleGlob::fill(const std::vector<std::string>& texts) const {
  std::string path;
  size_t next = 0;
  for (const Part& part : parts_) path += part.kind == Part::literal ? part.text : texts.at(next++);
  return path;
}

}  // namespace graft
