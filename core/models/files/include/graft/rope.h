// Rotary position embeddings: what config.json says about them, and the frequencies that follow from it.
// Source: transformers 5, modeling_rope_utils.py.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace graft {

enum class RopeType { default_, linear, dynamic, llama3, yarn };

/// transformers' `rope_parameters` (or its older `rope_theta` and `rope_scaling`). Fields below factor are
/// read by the types named beside them alone.
struct RopeParameters {
  RopeType type = RopeType::default_;
  double theta = 10000.0;
  double factor = 1.0;  // linear, dynamic, llama3, yarn; 1 or more
  std::int64_t original_max_position_embeddings =
      0;  // llama3, yarn: the context the model was first trained with
  double low_freq_factor = 1.0, high_freq_factor = 4.0;            // llama3
  double beta_fast = 32.0, beta_slow = 1.0;                        // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn
  bool truncate = true;                                            // yarn
};

struct RopeFrequencies {
  std::vector<float> inv_freq;     // [head_dim / 2], radians per position
  float attention_scaling = 1.0f;  // cos and sin are multiplied by it
};

struct ModelConfig;

/// The frequencies for sequences of up to `sequence_length` positions; only RopeType::dynamic depends on it,
/// and only beyond max_position_embeddings: compute again when a sequence grows past what was asked for.
/// Pure.
RopeFrequencies rope_inverse_frequencies(const ModelConfig& config, std::int64_t sequence_length = 0);

}  // namespace graft
