// Version and VersionRange: tags as versions, and which of them a reference allows.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// A version as PEP 440 orders it, which Semantic Versioning's spellings also fit: "v1.2.3", "1.2", "2.0rc1",
/// "2.0.0-rc.1", "1.0.post2", "1.0.dev3"; "+build" is dropped. 1.2 equals 1.2.0. Numbers up to 2^63-1.
class Version {
 public:
  /// Nothing if `text` is no version ("main", "release-1").
  static std::optional<Version> parse(std::string_view text);

  bool is_prerelease() const { return phase_ != kFinal || dev_ != kNoDev; }
  std::size_t size() const { return release_.size(); }  // numbers written: 2 for "1.2"
  std::int64_t component(std::size_t index) const;      // major is 0; those not written are 0

  /// The release alone with `count` numbers, the last one `added` higher: 1.2.3 → bumped(2, 1) is 1.3.
  Version bumped(std::size_t count, std::int64_t added) const;
  /// Whether the first `count` numbers are the same.
  bool same_prefix(const Version& other, std::size_t count) const;
  Version base() const { return bumped(size(), 0); }  // without pre, post and dev parts

  /// Its development release 0, before which none of its own stands: 1.2.dev0 of 1.2.
  Version first_of() const;
  /// Whether this is a post-release of `other`, or one on its way to it: 1.0rc1.post2 is one of 1.0rc1, not of 1.0.
  bool is_postrelease_of(const Version& other) const;

  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const { return (*this <=> other) == 0; }

 private:
  static constexpr int kDev = -1, kAlpha = 0, kBeta = 1, kCandidate = 2, kFinal = 3;
  static constexpr std::int64_t kNoDev = INT64_MAX;

  void set_dev(std::int64_t number);

  std::vector<std::int64_t> release_;  // as written; trailing zeros compare as absent
  int phase_ = kFinal;                 // dev only, alpha, beta, candidate, final
  std::int64_t phase_number_ = 0;
  std::int64_t post_ = -1;
  std::int64_t dev_ = kNoDev;
};

/// ">=2.0,<3.0", "~=1.4", "==2.*", "!=2.1", "^1.2" and combinations by comma, all of which must hold. Meaning
/// as in PEP 440; ^ as in Cargo: ^1.2 is >=1.2,<2; ^0.2 is >=0.2,<0.3.
class VersionRange {
 public:
  /// Whether `text` is meant as a range: it begins with an operator.
  static bool is_range(std::string_view text);

  /// Throws Error(invalid_argument) with a caret under the place.
  static VersionRange parse(std::string_view text);

  /// parse() of bytes [begin, end) of `whole`, a `what` ("kernel reference"), which the error shows.
  static VersionRange parse_in(std::string_view what, std::string_view whole, std::size_t begin, std::size_t end);

  /// A pre-release is contained only if one of the range's own versions, besides those after !=, is a pre-release.
  bool contains(const Version& version) const;

 private:
  enum class Op {
    equal,
    not_equal,
    equal_prefix,
    not_equal_prefix,
    less,
    less_equal,
    greater,
    greater_equal
  };
  struct Bound {
    Op op;
    Version version;
  };
  static bool holds(const Bound& bound, const Version& version);

  std::vector<Bound> bounds_;
  bool prereleases_ = false;
};

/// Index of the highest of `names` that is a version and in `range` (null: any; pre-releases only if there is
/// nothing else). Nothing if none fits.
std::optional<std::size_t> highest_version(const std::vector<std::string>& names, const VersionRange* range);

}  // namespace graft
