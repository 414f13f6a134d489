#include "graft/model_config.h"

#include "support.h"

namespace graft {
namespace {

using nlohmann::json;
using testing::throws_error;

json small() {
  return {{"model_type", "llama"},    {"vocab_size", 256},
          {"hidden_size", 64},        {"intermediate_size", 128},
          {"num_hidden_layers", 2},   {"num_attention_heads", 4},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 128}};
}

json with(json changes) {
  json config = small();
  config.update(changes);
  return config;
}

ModelConfig parse(const json& config) {
  return parse_model_config(config.dump());
}

::testing::AssertionResult refuses(json changes, const std::string& part,
                                   ErrorCode code = ErrorCode::corrupt) {
  return throws_error(code, part, [&] { parse(with(std::move(changes))); });
}

TEST(ModelConfig, ReadsSmolLm2) {
  const ModelConfig config = load_model_config(testing::smollm2() / "config.json");
  EXPECT_EQ(name(config.model_type), "llama");
  EXPECT_EQ(config.vocab_size, 49152);
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.num_hidden_layers, 30);
  EXPECT_EQ(config.num_attention_heads, 9);
  EXPECT_EQ(config.num_key_value_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.rope.theta, 100000.0);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "float32");
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int64_t>{2});
}

TEST(ModelConfig, OlderAndNewerSpellingsMeanTheSame) {
  for (const char* folder : {"tiny-llama", "tiny-qwen3"}) {
    const ModelConfig a = load_model_config(testing::kGolden / folder / "config.json");
    const ModelConfig b = load_model_config(testing::kGolden / folder / "other_config.json");
    EXPECT_EQ(a.rope.type, b.rope.type);
    EXPECT_EQ(a.rope.theta, b.rope.theta);
    EXPECT_EQ(a.rope.factor, b.rope.factor);
    EXPECT_EQ(a.rope.original_max_position_embeddings, b.rope.original_max_position_embeddings);
    EXPECT_EQ(a.rope.low_freq_factor, b.rope.low_freq_factor);
    EXPECT_EQ(a.rope.high_freq_factor, b.rope.high_freq_factor);
    EXPECT_EQ(a.dtype, b.dtype);
  }
}

TEST(ModelConfig, AbsentFieldsHaveTransformersDefaults) {
  json config = small();
  config.erase("num_key_value_heads");
  config.erase("max_position_embeddings");
  const ModelConfig llama = parse(config);
  EXPECT_EQ(llama.num_key_value_heads, 4);
  EXPECT_EQ(llama.head_dim, 16);
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.hidden_act, "silu");
  EXPECT_EQ(llama.rope.theta, 10000.0);
  EXPECT_EQ(llama.rope.type, RopeType::default_);
  EXPECT_FALSE(llama.tie_word_embeddings || llama.attention_bias || llama.mlp_bias);
  EXPECT_TRUE(llama.dtype.empty() && llama.eos_token_ids.empty() && !llama.bos_token_id &&
              !llama.pad_token_id);

  const ModelConfig qwen3 = parse(with({{"model_type", "qwen3"}}));
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(qwen3.attention_windows, (std::vector<std::int64_t>{0, 0}));
}

TEST(ModelConfig, EosMayBeAListAndNegativeIdsAreNone) {
  const ModelConfig config =
      parse(with({{"eos_token_id", {2, 7}}, {"bos_token_id", 0}, {"pad_token_id", -1}}));
  EXPECT_EQ(config.eos_token_ids, (std::vector<std::int64_t>{2, 7}));
  EXPECT_EQ(config.bos_token_id, 0);
  EXPECT_FALSE(config.pad_token_id);
}

TEST(ModelConfig, SlidingWindowsHoldFromMaxWindowLayersOnOrWhereLayerTypesSaySo) {
  json config = with({{"model_type", "qwen3"},
                      {"use_sliding_window", true},
                      {"sliding_window", 32},
                      {"max_window_layers", 1}});
  EXPECT_EQ(parse(config).attention_windows, (std::vector<std::int64_t>{0, 32}));
  config["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_EQ(parse(config).attention_windows, (std::vector<std::int64_t>{32, 0}));
  config["use_sliding_window"] = false;
  EXPECT_EQ(parse(config).attention_windows, (std::vector<std::int64_t>{0, 0}));
}

TEST(ModelConfig, LayerTypesThatDoNotFitAreRefused) {
  const json sliding = {{"model_type", "qwen3"}, {"use_sliding_window", true}};
  json few = sliding, strange = sliding;
  few["layer_types"] = {"full_attention"};
  strange["layer_types"] = {"full_attention", "linear_attention"};
  EXPECT_TRUE(refuses(few, "layer_types"));
  EXPECT_TRUE(refuses(strange, "linear_attention"));
}

TEST(ModelConfig, AnUnknownModelTypeIsNamedWithThoseThatAreSupported) {
  EXPECT_TRUE(refuses({{"model_type", "mamba"}}, "\"mamba\"", ErrorCode::unsupported));
  EXPECT_TRUE(refuses({{"model_type", "mamba"}}, "llama, qwen3", ErrorCode::unsupported));
  json none = small();
  none.erase("model_type");
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "model_type", [&] { parse(none); }));
}

TEST(ModelConfig, MissingSizesAreNamed) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    json config = small();
    config.erase(key);
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, key, [&] { parse(config); }));
  }
}

TEST(ModelConfig, SizesOutOfRangeOrOfTheWrongTypeAreNamed) {
  EXPECT_TRUE(refuses({{"hidden_size", 0}}, "hidden_size"));
  EXPECT_TRUE(refuses({{"hidden_size", -64}}, "not a positive size"));
  EXPECT_TRUE(refuses({{"hidden_size", 64.5}}, "not a whole number"));
  EXPECT_TRUE(refuses({{"hidden_size", "64"}}, "not a whole number"));
  EXPECT_TRUE(refuses({{"vocab_size", 18446744073709551615u}}, "too large"));
  EXPECT_TRUE(refuses({{"vocab_size", 1LL << 40}}, "vocab_size"));
  EXPECT_TRUE(refuses({{"num_hidden_layers", 1'000'000}}, "num_hidden_layers"));
  EXPECT_TRUE(refuses({{"num_key_value_heads", 3}}, "num_key_value_heads"));
  EXPECT_TRUE(refuses({{"num_attention_heads", 5}, {"num_key_value_heads", 5}}, "hidden_size"));
  EXPECT_TRUE(refuses({{"head_dim", 15}}, "odd"));
  EXPECT_TRUE(refuses({{"rms_norm_eps", 0}}, "rms_norm_eps"));
  EXPECT_TRUE(refuses({{"tie_word_embeddings", "yes"}}, "tie_word_embeddings"));
  EXPECT_TRUE(refuses({{"hidden_act", 1}}, "hidden_act"));
}

TEST(ModelConfig, WhatCannotBeRunIsUnsupported) {
  EXPECT_TRUE(refuses({{"torch_dtype", "int8"}}, "\"int8\"", ErrorCode::unsupported));
  EXPECT_TRUE(refuses({{"quantization_config", json::object()}}, "quantised", ErrorCode::unsupported));
  EXPECT_TRUE(
      refuses({{"rope_scaling", {{"rope_type", "longrope"}}}}, "\"longrope\"", ErrorCode::unsupported));
  EXPECT_TRUE(refuses({{"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}}},
                      "partial_rotary_factor", ErrorCode::unsupported));
}

TEST(ModelConfig, RopeScalingThatMakesNoSenseIsNamed) {
  const json llama3 = {
      {"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
  const auto changed = [](json rope, const char* key, json value) {
    if (value.is_null()) {
      rope.erase(key);
    } else {
      rope[key] = value;
    }
    return json{{"rope_scaling", rope}};
  };
  EXPECT_NO_THROW(parse(with({{"rope_scaling", llama3}})));
  EXPECT_TRUE(refuses(changed(llama3, "factor", nullptr), "\"factor\" is missing"));
  EXPECT_TRUE(refuses(changed(llama3, "factor", 0.5), "less than 1"));
  EXPECT_TRUE(refuses(changed(llama3, "low_freq_factor", nullptr), "low_freq_factor"));
  EXPECT_TRUE(refuses(changed(llama3, "high_freq_factor", 1.0), "high_freq_factor"));
  EXPECT_TRUE(
      refuses(changed(llama3, "original_max_position_embeddings", 0), "original_max_position_embeddings"));
  const json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_TRUE(refuses(changed(yarn, "beta_fast", 0.5), "beta_fast"));
  EXPECT_TRUE(refuses(changed(yarn, "rope_theta", 1.0), "rope_theta"));
  EXPECT_TRUE(refuses({{"rope_theta", -1.0}}, "rope_theta"));
  EXPECT_TRUE(refuses({{"rope_scaling", "linear"}}, "rope_scaling"));
}

TEST(ModelConfig, AFileThatIsNotJsonOrNotThereIsNamed) {
  testing::TemporaryFolder folder;
  EXPECT_TRUE(
      throws_error(ErrorCode::not_found, "config.json", [&] { load_model_config(folder / "config.json"); }));
  EXPECT_TRUE(throws_error(ErrorCode::io, "folder", [&] { load_model_config(folder.path()); }));
  for (const char* text : {"", "null", "[]", "{", "\xff{}"}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "config.json", [&] { parse_model_config(text); })) << text;
  }
  const std::string deep = R"({"x":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "nested deeper", [&] { parse_model_config(deep); }));
}

}  // namespace
}  // namespace graft
