// generation_config.json: the publisher's defaults for generate(). Source: transformers 5, GenerationConfig.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/model_config.h"

namespace graft {

/// A plain value, validated.
struct GenerationConfig {
  bool do_sample = false;  // false: greedy, and the three below do not matter
  double temperature = 1.0;
  std::int64_t top_k = 50;  // 0: all tokens
  double top_p = 1.0;       // (0, 1]
  double repetition_penalty = 1.0;
  std::optional<std::int64_t> max_new_tokens;
  std::optional<std::int64_t> bos_token_id, pad_token_id;
  std::vector<std::int64_t> eos_token_ids;
};

/// Reads `folder`/generation_config.json. Token ids it does not give are the model's; without the file, all
/// else is as above. Errors: corrupt (a field of the wrong type or out of range), io.
GenerationConfig load_generation_config(const std::filesystem::path& folder, const ModelConfig& model);

/// The same from text; `source` stands for the file in errors.
GenerationConfig parse_generation_config(std::string_view json, const ModelConfig& model,
                                         const std::string& source = "generation_config.json");

}  // namespace graft
