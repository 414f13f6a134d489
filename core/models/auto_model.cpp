#include "graft/auto_model.h"

#include <c10/core/Device.h>

#include <filesystem>

#include "cuda_runtime.h"
#include "graft/checkpoint.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "weights.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::optional<at::ScalarType> parse_dtype(const std::string& text) {
  if (text == "auto") return std::nullopt;
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16") return at::kHalf;
  throw Error(ErrorCode::invalid_argument, "dtype '" + text + "'", "there is no such dtype",
              "use auto, float32, bfloat16 or float16");
}

c10::Device parse_device(const std::string& text) {
  if (text == "cpu") return c10::kCPU;
  if (text == "auto" && !cuda_driver_present()) return c10::kCPU;
  if (text == "auto" || text == "cuda" || text.starts_with("cuda:")) {
    const std::string index = text.starts_with("cuda:") ? text.substr(5) : "0";
    if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "the index is not a number", "use cuda:0");
    }
    const int devices = open_cuda(), device = std::stoi(index);
    if (device >= devices) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'",
                  "this machine has " + std::to_string(devices) + " CUDA device(s)");
    }
    return {c10::kCUDA, c10::DeviceIndex(device)};
  }
  throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "there is no such device",
              "use auto, cpu, cuda or cuda:N");
}

HubOptions hub_options(const FromPretrainedOptions& options) {
  HubOptions hub = HubOptions::from_environment();
  if (options.token) hub.token = *options.token;
  if (!options.cache_dir.empty()) hub.cache_dir = fs::absolute(options.cache_dir);
  return hub;
}

}  // namespace

std::shared_ptr<PreTrainedModel> AutoModelForCausalLM::from_pretrained(const std::string& name,
                                                                       const FromPretrainedOptions& options) {
  const auto dtype = parse_dtype(options.dtype);
  const c10::Device device = parse_device(options.device_map);
  const fs::path folder = fetch_model(name, options.revision, hub_options(options)).folder;
  const ModelConfig config = load_model_config(folder / "config.json");
  if (config.hidden_act != "silu") {
    throw Error(ErrorCode::unsupported, "model " + name, "its hidden_act is '" + config.hidden_act + "'",
                "silu is supported");
  }
  Weights weights(open_checkpoint(folder, SafetensorsFile::Access::copy_on_write), dtype);
  auto model = std::make_shared<PreTrainedModel>(config, load_generation_config(folder, config), weights);
  for (const std::string& tensor : weights.left_over()) {
    if (tensor == "lm_head.weight" || tensor.ends_with(".rotary_emb.inv_freq")) continue;  // derived from others
    throw Error(ErrorCode::corrupt, "tensor " + tensor, "the model has no place for it",
                "take config.json and weights from the same repository");
  }
  if (!device.is_cpu()) model->to(device);
  model->eval();

  if (options.use_kernels || options.kernel_config) {
    model->kernelize({.kernel_config = options.kernel_config,
                      .allow_all_kernels = options.allow_all_kernels,
                      .use_fallback = options.use_fallback,
                      .policy = options.policy});
  }
  if (options.attn_implementation != "sdpa") {
    model->set_attn_implementation(options.attn_implementation, options.allow_all_kernels, options.use_fallback,
                                   options.policy);
  }
  return model;
}

}  // namespace graft
