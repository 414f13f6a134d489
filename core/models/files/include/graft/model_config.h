// config.json: the shape of a model of the Llama family. Source: transformers 5, LlamaConfig and Qwen3Config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/rope.h"

namespace graft {

enum class ModelType { llama, qwen3 };

/// "llama", as config.json spells it.
std::string_view name(ModelType type);

/// Validated: sizes are positive, heads divide as they must, head_dim is even. A plain value.
struct ModelConfig {
  ModelType model_type = ModelType::llama;
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;  // divides num_attention_heads
  std::int64_t head_dim = 0;             // may differ from hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;  // lm_head.weight is model.embed_tokens.weight
  bool attention_bias = false;       // q, k, v and o projections have biases
  bool mlp_bias = false;             // gate, up and down projections have biases
  std::string hidden_act = "silu";
  /// For each layer how many positions a query sees, itself included; 0: all before it.
  std::vector<std::int64_t> attention_windows;
  RopeParameters rope;
  std::string dtype;  // the weights' as saved: "float32", "bfloat16", "float16"; empty if not said
  std::optional<std::int64_t> bos_token_id, pad_token_id;
  std::vector<std::int64_t> eos_token_ids;  // any of them ends a sequence; may be empty
};

/// Reads config.json. Fields that may be absent have LlamaConfig's and Qwen3Config's defaults; sizes may not.
/// Errors: not_found, corrupt (a field missing, of the wrong type or out of range), unsupported (model_type,
/// rope type, quantised weights).
ModelConfig load_model_config(const std::filesystem::path& config_json);

/// The same from text; `source` stands for the file in errors.
ModelConfig parse_model_config(std::string_view json, const std::string& source = "config.json");

}  // namespace graft
