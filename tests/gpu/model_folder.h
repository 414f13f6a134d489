// A small model on disk for tests of whole models on a GPU.
#pragma once

#include <ATen/ops/arange.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "graft/auto_model.h"
#include "graft/safetensors.h"

namespace graft::testing {

/// A model's folder with random weights.
class Model {
 public:
  explicit Model(const std::string& type, nlohmann::json more = {}) : folder_(std::filesystem::temp_directory_path() / ("graft-gpu-" + std::to_string(getpid()) + "-" + type)) {
    const bool qwen = type == "qwen3";
    nlohmann::json config = {{"architectures", {qwen ? "Qwen3ForCausalLM" : "LlamaForCausalLM"}}, {"model_type", type}, {"vocab_size", 1003},
                             {"hidden_size", qwen ? 256 : 192}, {"intermediate_size", qwen ? 520 : 384}, {"num_hidden_layers", 3},
                             {"num_attention_heads", qwen ? 4 : 3}, {"num_key_value_heads", qwen ? 2 : 1}, {"head_dim", qwen ? 128 : 64},
                             {"hidden_act", "silu"}, {"rms_norm_eps", 1e-6}, {"max_position_embeddings", 2048}, {"rope_theta", 10000.0},
                             {"tie_word_embeddings", true}, {"attention_bias", false}, {"mlp_bias", false}, {"torch_dtype", "float32"},
                             {"eos_token_id", 2}, {"bos_token_id", 1}};
    if (more.is_object()) config.update(more);
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "config.json") << config;
    std::ofstream(folder_ / "generation_config.json") << nlohmann::json::object();
    write_weights(config, qwen);
  }
  ~Model() { std::filesystem::remove_all(folder_); }

  std::shared_ptr<PreTrainedModel> open(bool kernels, const std::string& dtype = "float32", const DeviceMap& device = "cuda") const {
    return AutoModelForCausalLM::from_pretrained(folder_.string(), {.use_kernels = kernels, .device_map = device, .dtype = dtype});
  }

 private:
  void write_weights(const nlohmann::json& config, bool qwen) {
    std::vector<at::Tensor> kept;
    std::vector<std::pair<std::string, TensorView>> tensors;
    at::Generator generator = at::detail::createCPUGenerator(/*seed=*/7);  // at::manual_seed() would ask for a GPU, before Graft opens it
    const auto add = [&](const std::string& name, std::vector<int64_t> shape, double deviation, double mean = 0) {
      kept.push_back((at::randn(shape, generator, at::kFloat) * deviation + mean).contiguous());
      const at::Tensor& tensor = kept.back();
      tensors.emplace_back(name, TensorView{SafetensorsDType::F32, shape, static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
    };
    const int64_t hidden = config["hidden_size"], inner = config["intermediate_size"], dim = config["head_dim"];
    const int64_t queries = int64_t(config["num_attention_heads"]) * dim, keys = int64_t(config["num_key_value_heads"]) * dim;
    add("model.embed_tokens.weight", {config["vocab_size"], hidden}, 1);
    for (int64_t layer = 0; layer < int64_t(config["num_hidden_layers"]); ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      add(prefix + "input_layernorm.weight", {hidden}, 0.1, 1);
      add(prefix + "post_attention_layernorm.weight", {hidden}, 0.1, 1);
      add(prefix + "self_attn.q_proj.weight", {queries, hidden}, 0.08);
      add(prefix + "self_attn.k_proj.weight", {keys, hidden}, 0.08);
      add(prefix + "self_attn.v_proj.weight", {keys, hidden}, 0.08);
      add(prefix + "self_attn.o_proj.weight", {hidden, queries}, 0.08);
      if (qwen) add(prefix + "self_attn.q_norm.weight", {dim}, 0.1, 1), add(prefix + "self_attn.k_norm.weight", {dim}, 0.1, 1);
      add(prefix + "mlp.gate_proj.weight", {inner, hidden}, 0.08);
      add(prefix + "mlp.up_proj.weight", {inner, hidden}, 0.08);
      add(prefix + "mlp.down_proj.weight", {hidden, inner}, 0.08);
    }
    add("model.norm.weight", {hidden}, 0.1, 1);
    if (!config["tie_word_embeddings"]) add("lm_head.weight", {config["vocab_size"], hidden}, 1);
    save_safetensors(folder_ / "model.safetensors", tensors);
  }

  std::filesystem::path folder_;
};

inline at::Tensor prompt(int64_t batch, int64_t tokens) { return (at::arange(batch * tokens, at::kLong) * 37 + 11).remainder(1000).view({batch, tokens}) + 3; }

inline const GenerateOptions kLong = {.max_new_tokens = 40, .eos_token_id = std::vector<int64_t>{}};

}  // namespace graft::testing
