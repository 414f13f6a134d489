#include "graft/version.h"

#include <algorithm>
#include <charconv>

namespace graft {
namespace {

/// Reads a version from the left; every read either takes what it describes or leaves the place unchanged.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool done() const { return at_ == text_.size(); }

  bool take(char c) {
    if (done() || lower(text_[at_]) != c) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (text_.size() - at_ < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i)
      if (lower(text_[at_ + i]) != word[i]) return false;
    at_ += word.size();
    return true;
  }

  std::optional<std::int64_t> number() {
    std::int64_t value = 0;
    if (done() || text_[at_] < '0' || text_[at_] > '9') return std::nullopt;
    auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) return std::nullopt;
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  /// One of `words` with an optional separator before it, and before its number (0 if there is none).
  std::optional<std::int64_t> tagged(std::initializer_list<std::string_view> words) {
    std::size_t start = at_;
    separator();
    for (std::string_view word : words) {
      if (!take(word)) continue;
      std::size_t after = at_;
      separator();
      if (auto value = number()) return value;
      at_ = after;
      return 0;
    }
    at_ = start;
    return std::nullopt;
  }

  void skip_build() {
    if (!take('+')) return;
    std::size_t start = at_;
    while (!done() && is_build_byte(text_[at_])) ++at_;
    if (at_ == start) --at_;  // a bare '+' stays, and makes the text no version
  }

  std::size_t at_ = 0;

 private:
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
  static bool is_build_byte(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '.' || c == '-' || c == '_';
  }
  void separator() {
    if (!done() && (text_[at_] == '.' || text_[at_] == '-' || text_[at_] == '_')) ++at_;
  }

  std::string_view text_;
};

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
  constexpr std::size_t kMaxNumbers = 16;
  Reader reader(text);
  Version version;
  version.release_.reserve(4);  // one allocation for what versions have
  reader.take('v');
  do {
    auto number = reader.number();
    if (!number || version.release_.size() == kMaxNumbers) return std::nullopt;
    version.release_.push_back(*number);
    // "1.dev0": the dot belongs to what follows.
    std::size_t dot = reader.at_;
    if (!reader.take('.')) break;
    if (!reader.number()) {
      reader.at_ = dot;
      break;
    }
    reader.at_ = dot + 1;
  } while (true);

  if (auto a = reader.tagged({"alpha", "a"})) {
    version.phase_ = kAlpha, version.phase_number_ = *a;
  } else if (auto b = reader.tagged({"beta", "b"})) {
    version.phase_ = kBeta, version.phase_number_ = *b;
  } else if (auto c = reader.tagged({"rc", "c", "preview", "pre"})) {
    version.phase_ = kCandidate, version.phase_number_ = *c;
  }
  if (auto post = reader.tagged({"post", "rev", "r"})) version.post_ = *post;
  if (auto dev = reader.tagged({"dev"})) version.set_dev(*dev);
  reader.skip_build();
  if (!reader.done()) return std::nullopt;
  return version;
}

std::int64_t Version::component(std::size_t index) const {
  return index < release_.size() ? release_[index] : 0;
}

Version Version::bumped(std::size_t count, std::int64_t added) const {
  Version version;
  version.release_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) version.release_.push_back(component(i));
  if (added && version.release_.back() < INT64_MAX) version.release_.back() += added;
  return version;
}

bool Version::same_prefix(const Version& other, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i)
    if (component(i) != other.component(i)) return false;
  return true;
}

void Version::set_dev(std::int64_t number) {
  dev_ = number;
  // 1.0.dev1 comes before 1.0a1, but 1.0a1.dev1 just before 1.0a1.
  if (phase_ == kFinal && post_ < 0) phase_ = kDev;
}

Version Version::first_of() const {
  Version version = *this;
  version.set_dev(0);
  return version;
}

bool Version::is_postrelease_of(const Version& other) const {
  // A post-release and a development release have no post-releases of their own.
  return post_ >= 0 && other.post_ < 0 && other.dev_ == kNoDev && base() == other.base() && phase_ == other.phase_ &&
         phase_number_ == other.phase_number_;
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  for (std::size_t i = 0; i < std::max(size(), other.size()); ++i)
    if (auto order = component(i) <=> other.component(i); order != 0) return order;
  if (auto order = phase_ <=> other.phase_; order != 0) return order;
  if (auto order = phase_number_ <=> other.phase_number_; order != 0) return order;
  if (auto order = post_ <=> other.post_; order != 0) return order;
  return dev_ <=> other.dev_;
}

}  // namespace graft
