#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include "graft/error.h"
#include "tokenizer/utf8.h"

namespace graft::detail {
namespace {

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

// What one match needs besides the code; PCRE2 allows its use by one thread at a time.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  ~Scratch() { pcre2_match_data_free(data); }
};

}  // namespace

Regex Regex::oniguruma(std::string_view pattern, const std::string& source) {
  // Ruby's ^ and $ always mean lines.
  return Regex(oniguruma_to_pcre2(pattern, source), PCRE2_MULTILINE, source);
}

Regex Regex::literal(std::string_view text, const std::string& source) {
  return Regex(text, PCRE2_LITERAL, source);
}

Regex::Regex(std::string_view pattern, unsigned options, const std::string& source) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // not whatever this PCRE2 was built with
  pcre2_set_max_pattern_length(context.get(), 1 << 16);
  pcre2_set_parens_nest_limit(context.get(), 50);
  const unsigned literal_allows = PCRE2_UTF;
  int error = 0;
  PCRE2_SIZE at = 0;
  const unsigned all = options & PCRE2_LITERAL ? options | literal_allows : options | PCRE2_UTF | PCRE2_UCP;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), all, &error,
                                   &at, context.get());
  if (!code) {
    throw Error(ErrorCode::unsupported, source,
                "regular expression \"" + std::string(pattern) + "\": " + message(error) + " at byte " +
                    std::to_string(at),
                "use a model with another tokenizer");
  }
  code_.reset(code, pcre2_code_free);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it cannot, matching is interpreted
}

std::optional<Match> Regex::find(std::string_view text, std::size_t from) const {
  thread_local const Scratch scratch;
  const auto run = [&](unsigned options) {
    return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       options | PCRE2_NO_UTF_CHECK, scratch.data, nullptr);
  };
  int result = run(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw Error(ErrorCode::unsupported, "tokenizer's regular expression", message(result),
                "the text makes it backtrack too far: encode it in shorter parts");
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(scratch.data);
  return Match{offsets[0], offsets[1]};
}

std::vector<Match> Regex::find_all(std::string_view text) const {
  std::vector<Match> matches;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = find(text, from);
    if (!match) break;
    if (match->begin == match->end && !matches.empty() && matches.back().end == match->end) {
      from += from < text.size() ? first_character(text.substr(from)).length : 1;
      continue;
    }
    matches.push_back(*match);
    from = match->end;
  }
  return matches;
}

}  // namespace graft::detail
