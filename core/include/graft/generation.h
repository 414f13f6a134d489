// What generate() takes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace graft {

/// Fields left out take the model's generation_config.json, and where that is silent, transformers' defaults.
struct GenerateOptions {
  std::optional<int64_t> max_new_tokens = std::nullopt;  // default 20
  std::optional<bool> do_sample = std::nullopt;          // default false: greedy
  std::optional<double> temperature = std::nullopt;      // > 0
  std::optional<int64_t> top_k = std::nullopt;           // 0: all tokens
  std::optional<double> top_p = std::nullopt;            // (0, 1]
  std::optional<uint64_t> seed = std::nullopt;           // default: a random one
  std::optional<std::vector<int64_t>> eos_token_id = std::nullopt;  // any of them ends a row; empty: never
  std::optional<int64_t> pad_token_id = std::nullopt;    // fills rows that have ended
  at::Tensor attention_mask = {};                        // [B, T] int64 or bool, 0: left padding
  /// Called after each step with the new token of every row; false stops.
  std::function<bool(std::span<const int64_t>)> streamer = nullptr;
};

}  // namespace graft
