// AutoModelForCausalLM: a model from its name or folder, with kernels bound if asked.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "graft/device_map.h"
#include "graft/policy.h"
#include "graft/pretrained_model.h"

namespace graft {

struct FromPretrainedOptions {
  /// Bind KernelConfig::defaults(); a kernel_config turns kernels on by itself.
  bool use_kernels = false;
  std::optional<KernelConfig> kernel_config = std::nullopt;  // put over the default mapping
  std::string attn_implementation = "sdpa";                  // "eager", "sdpa", or a kernel's reference
  bool allow_all_kernels = false;
  bool use_fallback = true;
  std::optional<Policy> policy = std::nullopt;  // none given: this machine's and user's, see policy.h
  DeviceMap device_map = "cpu";  // "cpu", "cuda", "cuda:1", "auto" (GPUs as they have room), or devices by modules: device_map.h
  std::string dtype = "auto";    // "auto" (the checkpoint's), "float32", "bfloat16", "float16"
  // Of the model's repo, where its name is one on a Hub:
  std::string revision = "main";                     // a branch, tag or commit
  std::optional<std::string> token = std::nullopt;   // none given: HF_TOKEN and its like, see hub_options.h
  std::filesystem::path cache_dir = {};              // empty: as huggingface_hub finds it
  KernelPolicy kernel_policy = KernelPolicy::always;  // see kernel_policy.h
};

class AutoModelForCausalLM {
 public:
  /// `name`: a folder in the Hugging Face format (config.json, *.safetensors), or "org/name" on the Hub, fetched if it
  /// is not cached (fetch_model.h; a bar on a terminal shows how far it is). The model is in eval mode, its weights
  /// mapped from the file where the dtype allows. Throws Error: not_found, corrupt, unsupported (model_type, dtype,
  /// device), those of the Hub (hub.h), and with use_fallback = false the first kernel's error.
  static std::shared_ptr<PreTrainedModel> from_pretrained(const std::string& name,
                                                          const FromPretrainedOptions& options = {});

  /// The modules of that model with their names, layers and shapes, all weights on torch's meta device: for
  /// PreTrainedModel::plan_kernels(), not to run. Of `name` config.json alone is fetched and read, of `options` dtype,
  /// revision, token and cache_dir; the dtype "auto" is config.json's, float32 if it names none. Takes no memory to speak of,
  /// whatever the model's size. Throws Error, as from_pretrained.
  static std::shared_ptr<PreTrainedModel> without_weights(const std::string& name,
                                                          const FromPretrainedOptions& options = {});
};

}  // namespace graft
