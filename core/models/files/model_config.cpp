#include "graft/model_config.h"

#include <array>
#include <limits>

#include "graft/error.h"
#include "json_text.h"
#include "token_ids.h"

namespace graft {
namespace {

using detail::Fields;
using detail::Json;

struct NamedType {
  std::string_view name;
  ModelType type;
};
constexpr std::array<NamedType, 2> model_types{{{"llama", ModelType::llama}, {"qwen3", ModelType::qwen3}}};

struct NamedRope {
  std::string_view name;
  RopeType type;
};
constexpr std::array<NamedRope, 5> rope_types{{{"default", RopeType::default_},
                                               {"linear", RopeType::linear},
                                               {"dynamic", RopeType::dynamic},
                                               {"llama3", RopeType::llama3},
                                               {"yarn", RopeType::yarn}}};

template <typename Rows>
auto find_by_name(const Rows& rows, const std::string& wanted, const Fields& fields, const std::string& key) {
  std::string all;
  for (const auto& row : rows) {
    if (row.name == wanted) return row.type;
    all += (all.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(ErrorCode::unsupported, fields.source(), key + " \"" + wanted + "\" is not supported",
              "supported are " + all);
}

std::int64_t positive(const Fields& fields, const std::string& key,
                      std::optional<std::int64_t> otherwise = {}) {
  const auto value = fields.has(key) ? fields.integer(key) : otherwise;
  if (!value) fields.fail(key, "is missing");
  if (*value <= 0 || *value > std::numeric_limits<std::int32_t>::max()) {
    fields.fail(key, "is " + std::to_string(*value) + ", not a positive size");
  }
  return *value;
}

double positive_number(const Fields& fields, const std::string& key, double otherwise) {
  const double value = fields.number(key).value_or(otherwise);
  if (!(value > 0)) fields.fail(key, "is not positive");
  return value;
}

void read_rope_scaling(const Fields& fields, const Fields& config, RopeParameters& rope,
                       std::int64_t max_position_embeddings) {
  const std::string type =
      fields.optional_text("rope_type").value_or(fields.optional_text("type").value_or("default"));
  rope.type = find_by_name(rope_types, type, fields, "rope_type");
  rope.theta = positive_number(fields, "rope_theta", rope.theta);
  if (fields.number("partial_rotary_factor").value_or(1.0) != 1.0) {
    throw Error(ErrorCode::unsupported, fields.source(), "partial_rotary_factor is not supported",
                "use another model");
  }
  if (rope.type == RopeType::default_) return;

  const bool ratio_is_factor = rope.type == RopeType::yarn;  // DeepSeek's way of leaving it out
  if (!fields.has("factor") && !ratio_is_factor) fields.fail("factor", "is missing");
  const Fields& original = config.has("original_max_position_embeddings") ? config : fields;
  rope.original_max_position_embeddings =
      positive(original, "original_max_position_embeddings", max_position_embeddings);
  rope.factor = positive_number(fields, "factor",
                                static_cast<double>(max_position_embeddings) /
                                    static_cast<double>(rope.original_max_position_embeddings));
  if (rope.factor < 1.0) fields.fail("factor", "is less than 1");

  if (rope.type == RopeType::llama3) {
    for (const char* key : {"low_freq_factor", "high_freq_factor"}) {
      if (!fields.has(key)) fields.fail(key, "is missing");
    }
    rope.low_freq_factor = positive_number(fields, "low_freq_factor", 1.0);
    rope.high_freq_factor = positive_number(fields, "high_freq_factor", 4.0);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      fields.fail("high_freq_factor", "is not above low_freq_factor");
  }
  if (rope.type == RopeType::yarn) {
    rope.beta_fast = positive_number(fields, "beta_fast", 32.0);
    rope.beta_slow = positive_number(fields, "beta_slow", 1.0);
    if (rope.beta_fast < rope.beta_slow) fields.fail("beta_fast", "is below beta_slow");
    if (rope.theta == 1.0) fields.fail("rope_theta", "is 1, for which yarn has no frequencies");
    rope.attention_factor = fields.number("attention_factor");
    rope.mscale = fields.number("mscale");
    rope.mscale_all_dim = fields.number("mscale_all_dim");
    rope.truncate = fields.boolean("truncate", true);
  }
}

// rope_scaling is the older field; where both stand, transformers takes it too.
RopeParameters read_rope(const Fields& config, std::int64_t max_position_embeddings) {
  RopeParameters rope;
  rope.theta = positive_number(config, "rope_theta", rope.theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    read_rope_scaling(config.object(key), config, rope, max_position_embeddings);
    break;
  }
  return rope;
}

std::vector<std::int64_t> read_windows(const Fields& config, const ModelConfig& model) {
  const auto layers = static_cast<std::size_t>(model.num_hidden_layers);
  std::vector<std::int64_t> windows(layers, 0);
  if (model.model_type != ModelType::qwen3 || !config.boolean("use_sliding_window", false)) return windows;

  const std::int64_t window = positive(config, "sliding_window", 4096);
  if (!config.has("layer_types")) {
    const std::int64_t first = config.integer("max_window_layers").value_or(28);
    for (std::int64_t layer = std::max<std::int64_t>(first, 0); layer < model.num_hidden_layers; ++layer) {
      windows[static_cast<std::size_t>(layer)] = window;
    }
    return windows;
  }
  const Json& types = config.array("layer_types");
  if (types.size() != layers) config.fail("layer_types", "does not name each of the layers");
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (types[layer] == "sliding_attention") {
      windows[layer] = window;
    } else if (types[layer] != "full_attention") {
      config.fail("layer_types",
                  "holds " + types[layer].dump() + "; known are full_attention, sliding_attention");
    }
  }
  return windows;
}

std::string read_dtype(const Fields& config) {
  const std::string key = config.has("dtype") ? "dtype" : "torch_dtype";
  const std::string dtype = config.optional_text(key).value_or("");
  if (dtype.empty() || dtype == "float32" || dtype == "bfloat16" || dtype == "float16") return dtype;
  throw Error(ErrorCode::unsupported, config.source(), key + " \"" + dtype + "\" is not supported",
              "supported are float32, bfloat16, float16");
}

}  // namespace

std::string_view name(ModelType type) {
  for (const NamedType& row : model_types) {
    if (row.type == type) return row.name;
  }
  return "unknown";
}

ModelConfig load_model_config(const std::filesystem::path& config_json) {
  return parse_model_config(detail::read_text(config_json), config_json.string());
}

ModelConfig parse_model_config(std::string_view json, const std::string& source) {
  const Json parsed = detail::parse_object(json, source);
  const Fields config(parsed, source);
  ModelConfig model;
  model.model_type = find_by_name(model_types, config.text("model_type"), config, "model_type");
  const bool qwen3 = model.model_type == ModelType::qwen3;
  if (config.has("quantization_config")) {
    throw Error(ErrorCode::unsupported, source, "its weights are quantised (quantization_config)",
                "use the model's unquantised repo");
  }

  model.vocab_size = positive(config, "vocab_size");
  model.hidden_size = positive(config, "hidden_size");
  model.intermediate_size = positive(config, "intermediate_size");
  model.num_hidden_layers = positive(config, "num_hidden_layers");
  if (model.num_hidden_layers > 10'000) config.fail("num_hidden_layers", "is more than 10000");
  model.num_attention_heads = positive(config, "num_attention_heads");
  model.num_key_value_heads = positive(config, "num_key_value_heads", qwen3 ? 32 : model.num_attention_heads);
  model.head_dim = positive(config, "head_dim", qwen3 ? 128 : model.hidden_size / model.num_attention_heads);
  model.max_position_embeddings = positive(config, "max_position_embeddings", qwen3 ? 32768 : 2048);
  if (!qwen3 && model.hidden_size % model.num_attention_heads != 0) {
    config.fail("hidden_size", "is not a multiple of num_attention_heads");
  }
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    config.fail("num_attention_heads", "is not a multiple of num_key_value_heads");
  }
  if (model.head_dim % 2 != 0) config.fail("head_dim", "is odd; rotary embeddings turn pairs");

  model.rms_norm_eps = positive_number(config, "rms_norm_eps", 1e-6);
  model.tie_word_embeddings = config.boolean("tie_word_embeddings", false);
  model.attention_bias = config.boolean("attention_bias", false);
  model.mlp_bias = !qwen3 && config.boolean("mlp_bias", false);
  model.hidden_act = config.optional_text("hidden_act").value_or("silu");
  model.attention_windows = read_windows(config, model);
  model.rope = read_rope(config, model.max_position_embeddings);
  model.dtype = read_dtype(config);
  model.bos_token_id = detail::token_id(config, "bos_token_id");
  model.pad_token_id = detail::token_id(config, "pad_token_id");
  model.eos_token_ids = detail::token_ids(config, "eos_token_id");
  return model;
}

}  // namespace graft
