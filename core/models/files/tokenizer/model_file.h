// tokenizer.json, read in one pass. Its vocabulary and merges are nearly all of it: as trees of JSON values
// they took most of the time between a model's folder and its first token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json_text.h"

namespace graft::detail {

using Id = std::int32_t;

inline constexpr std::int64_t highest_id =
    16'000'000;  // far above any vocabulary; an array of this size is still small

/// What stands in lists here is not in `json`; what is unusual (an id out of range, merges as pairs) is in
/// `json` alone.
struct ModelFile {
  Json json;
  std::vector<std::pair<std::string, Id>>
      vocabulary;                   // model.vocab in the file's order; of two with one name the later counts
  std::vector<std::string> merges;  // model.merges, if all of them are strings
};

/// Errors: parse_object's.
ModelFile parse_model_file(std::string_view text, const std::string& source);

}  // namespace graft::detail
