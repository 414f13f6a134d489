#include <algorithm>

#include "caret.h"
#include "graft/version.h"

namespace graft {

bool VersionRange::is_range(std::string_view text) {
  return !text.empty() && std::string_view("<>=!~^ ").find(text.front()) != std::string_view::npos;
}

VersionRange VersionRange::parse(std::string_view text) {
  return parse_in("version range", text, 0, text.size());
}

VersionRange VersionRange::parse_in(std::string_view what, std::string_view whole, std::size_t first, std::size_t last) {
  VersionRange range;
  range.bounds_.reserve(4);
  std::string_view text = whole.substr(first, last - first);
  auto fail = [&](std::size_t at, std::string why) {
    throw_at(what, whole, first + at, std::move(why), "write a version range as in >=2.0,<3.0 or ~=1.4 or ==2.* or ^1.2");
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find(',', begin), text.size());
    std::size_t at = begin;
    while (at < end && text[at] == ' ') ++at;
    std::string_view op = text.substr(at, at < end && text[at] == '^' ? 1 : 2);
    if (at < end && (text[at] == '<' || text[at] == '>') && !(at + 1 < end && text[at + 1] == '='))
      op = text.substr(at, 1);
    if (op != "==" && op != "!=" && op != "<=" && op != ">=" && op != "~=" && op != "^" && op != "<" &&
        op != ">")
      fail(at, at == end ? "a bound is missing" : "is no operator; there are == != < <= > >= ~= ^");
    at = std::min(at + op.size(), end);
    while (at < end && text[at] == ' ') ++at;
    std::string_view written = text.substr(at, end - at);
    while (written.ends_with(' ')) written.remove_suffix(1);
    bool prefix = written.ends_with(".*");
    if (prefix && op != "==" && op != "!=") fail(at + written.size() - 1, "'*' goes with == and != only");
    auto version = Version::parse(prefix ? written.substr(0, written.size() - 2) : written);
    if (!version) fail(at, written.empty() ? "the version is missing" : "is no version");
    if (prefix && version->base() != *version) fail(at, "'*' stands after numbers only");
    range.prereleases_ |= op != "!=" && version->is_prerelease();

    // One of these takes it.
    if (op == "==") range.bounds_.push_back({prefix ? Op::equal_prefix : Op::equal, std::move(*version)});
    if (op == "!=") range.bounds_.push_back({prefix ? Op::not_equal_prefix : Op::not_equal, std::move(*version)});
    if (op == "<") range.bounds_.push_back({Op::less, std::move(*version)});
    if (op == "<=") range.bounds_.push_back({Op::less_equal, std::move(*version)});
    if (op == ">") range.bounds_.push_back({Op::greater, std::move(*version)});
    if (op == ">=") range.bounds_.push_back({Op::greater_equal, std::move(*version)});
    if (op == "~=") {
      if (version->size() < 2) fail(at, "~= needs two numbers at least, as in ~=1.4");
      range.bounds_.push_back({Op::greater_equal, *version});
      range.bounds_.push_back({Op::equal_prefix, version->bumped(version->size() - 1, 0)});
    }
    if (op == "^") {
      // The first number that is not zero may not change: ^1.2 → <2, ^0.2 → <0.3, ^0 → <1.
      std::size_t fixed = 0;
      while (fixed + 1 < version->size() && version->component(fixed) == 0) ++fixed;
      range.bounds_.push_back({Op::greater_equal, *version});
      range.bounds_.push_back({Op::less, version->bumped(fixed + 1, 1)});
    }
    begin = end + 1;
  }
  return range;
}

bool VersionRange::contains(const Version& version) const {
  if (version.is_prerelease() && !prereleases_) return false;
  return std::all_of(bounds_.begin(), bounds_.end(),
                     [&](const Bound& bound) { return holds(bound, version); });
}

bool VersionRange::holds(const Bound& bound, const Version& version) {
  const Version& limit = bound.version;
  switch (bound.op) {
    case Op::equal:
      return version == limit;
    case Op::not_equal:
      return version != limit;
    case Op::equal_prefix:
      return version.same_prefix(limit, limit.size());
    case Op::not_equal_prefix:
      return !version.same_prefix(limit, limit.size());
    // PEP 440: <1.7 keeps 1.7's own pre-releases out, >1.7 its post-releases.
    case Op::less:
      return version < (limit.is_prerelease() ? limit : limit.first_of());
    case Op::less_equal:
      return version <= limit;
    case Op::greater:
      return version > limit && !version.is_postrelease_of(limit);
    case Op::greater_equal:
      return version >= limit;
  }
  return false;
}

std::optional<std::size_t> highest_version(const std::vector<std::string>& names, const VersionRange* range) {
  std::optional<std::size_t> best, best_prerelease;
  std::vector<std::optional<Version>> versions;
  for (const std::string& name : names) versions.push_back(Version::parse(name));
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!versions[i] || (range && !range->contains(*versions[i]))) continue;
    auto& slot = !range && versions[i]->is_prerelease() ? best_prerelease : best;
    if (!slot || *versions[i] > *versions[*slot]) slot = i;
  }
  return best ? best : best_prerelease;
}

}  // namespace graft
