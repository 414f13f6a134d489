// The regular expressions of tokenizer.json. They are written for Oniguruma (its Ruby syntax); PCRE2 runs
// them here.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace graft::detail {

struct Match {
  std::size_t begin, end;  // byte offsets
};

/// Compiled, immutable; thread-safe.
class Regex {
 public:
  /// `pattern` in Oniguruma's syntax. Errors: unsupported, for what PCRE2 would read differently; it names
  /// `source`.
  static Regex oniguruma(std::string_view pattern, const std::string& source);
  /// Matches `text` itself.
  static Regex literal(std::string_view text, const std::string& source);

  /// All matches in `text` (valid UTF-8), left to right, as Oniguruma's Rust binding finds them: an empty
  /// match right at the end of the one before does not count. Errors: unsupported (PCRE2 gave up:
  /// backtracking limit).
  std::vector<Match> find_all(std::string_view text) const;

 private:
  Regex(std::string_view pattern, unsigned options, const std::string& source);
  std::optional<Match> find(std::string_view text, std::size_t from) const;

  std::shared_ptr<pcre2_real_code_8> code_;
};

/// `pattern` rewritten so that PCRE2 reads it as Oniguruma would. Errors: unsupported.
std::string oniguruma_to_pcre2(std::string_view pattern, const std::string& source);

}  // namespace graft::detail
