#include "graft/auto_model.h"

#include <filesystem>

#include "graft/checkpoint.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "placement.h"
#include "weights.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

HubOptions hub_options(const FromPretrainedOptions& options) {
  HubOptions hub = HubOptions::from_environment();
  if (options.token) hub.token = *options.token;
  if (!options.cache_dir.empty()) hub.cache_dir = fs::absolute(options.cache_dir);
  return hub;
}

/// The configuration of a model that Graft has the classes of.
ModelConfig read_config(const std::string& name, const fs::path& folder) {
  ModelConfig config = load_model_config(folder / "config.json");
  if (config.hidden_act != "silu") {
    throw Error(ErrorCode::unsupported, "model " + name, "its hidden_act is '" + config.hidden_act + "'",
                "silu is supported");
  }
  return config;
}

/// `asked`: none for "auto".
ModuleDevices devices_of(const std::optional<ModuleDevices>& asked, const ModelConfig& config, at::ScalarType dtype) {
  if (asked && asked->size() == 1 && asked->contains("")) return *asked;
  Weights shapes(dtype);
  const std::vector<ModelPart> parts = parts_of(PreTrainedModel(config, GenerationConfig(), shapes));
  if (!asked) return auto_devices(parts);
  check_devices(*asked, parts);
  return *asked;
}

}  // namespace

std::shared_ptr<PreTrainedModel> AutoModelForCausalLM::without_weights(const std::string& name,
                                                                       const FromPretrainedOptions& options) {
  const auto dtype = parse_dtype(options.dtype);
  const fs::path folder = fetch_model_config(name, options.revision, hub_options(options)).folder;
  const ModelConfig config = read_config(name, folder);
  Weights weights(dtype ? *dtype : config.dtype.empty() ? at::kFloat : *parse_dtype(config.dtype));
  auto model = std::make_shared<PreTrainedModel>(config, GenerationConfig(), weights);
  model->eval();
  return model;
}

std::shared_ptr<PreTrainedModel> AutoModelForCausalLM::from_pretrained(const std::string& name,
                                                                       const FromPretrainedOptions& options) {
  const auto dtype = parse_dtype(options.dtype);
  const std::optional<ModuleDevices> devices = parse_device_map(options.device_map);
  const fs::path folder = fetch_model(name, options.revision, hub_options(options)).folder;
  const ModelConfig config = read_config(name, folder);
  Weights weights(open_checkpoint(folder, SafetensorsFile::Access::copy_on_write), dtype);
  weights.place(devices_of(devices, config, weights.dtype()));
  auto model = std::make_shared<PreTrainedModel>(config, load_generation_config(folder, config), weights);
  for (const std::string& tensor : weights.left_over()) {
    if (tensor == "lm_head.weight" || tensor.ends_with(".rotary_emb.inv_freq")) continue;  // derived from others
    throw Error(ErrorCode::corrupt, "tensor " + tensor, "the model has no place for it",
                "take config.json and weights from the same repository");
  }
  weights.finish();
  model->eval();

  if (options.use_kernels || options.kernel_config) {
    model->kernelize({.kernel_config = options.kernel_config,
                      .allow_all_kernels = options.allow_all_kernels,
                      .use_fallback = options.use_fallback,
                      .policy = options.policy,
                      .kernel_policy = options.kernel_policy});
  }
  if (options.attn_implementation != "sdpa") {
    model->set_attn_implementation(options.attn_implementation, options.allow_all_kernels, options.use_fallback,
                                   options.policy, options.kernel_policy);
  }
  return model;
}

}  // namespace graft
