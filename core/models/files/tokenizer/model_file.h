// tokenizer.json, read in one pass. Its vocabulary and merges are nearly all of it: as trees of JSON values
// they took most of the time between a model's folder and its first token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json_text.h"
#include "tokenizer/string_list.h"

namespace graft::detail {

using Id = std::int32_t;

inline constexpr std::int64_t highest_id =
    16'000'000;  // far above any vocabulary; an array of this size is still small

/// Tokens in a file's order: names[i] has ids[i].
struct TokenList {
  StringList names;
  std::vector<Id> ids;
};

/// What stands in lists here is not in `json`; what is unusual (an id out of range, merges as pairs) is in
/// `json` alone.
struct ModelFile {
  Json json;
  TokenList vocabulary;  // model.vocab; of two with one name the later counts
  StringList merges;     // model.merges, if all of them are strings
};

/// Errors: parse_object's.
ModelFile parse_model_file(std::string_view text, const std::string& source);

}  // namespace graft::detail
