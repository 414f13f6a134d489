// AutoModelForCausalLM: a model from its name or folder, with kernels bound if asked.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "graft/pretrained_model.h"
#include "graft/trust.h"

namespace graft {

struct FromPretrainedOptions {
  /// Bind KernelConfig::defaults(); a kernel_config turns kernels on by itself.
  bool use_kernels = false;
  std::optional<KernelConfig> kernel_config = std::nullopt;  // put over the default mapping
  std::string attn_implementation = "sdpa";                  // "eager", "sdpa", or a kernel's reference
  bool allow_all_kernels = false;
  bool use_fallback = true;
  std::string device_map = "cpu";  // "cpu", "cuda", "cuda:1", "auto" (the first GPU if there is one)
  std::string dtype = "auto";      // "auto" (the checkpoint's), "float32", "bfloat16", "float16"
};

class AutoModelForCausalLM {
 public:
  /// `name`: a folder in the Hugging Face format (config.json, *.safetensors). The model is in eval mode, its weights
  /// mapped from the file where the dtype allows. Throws Error: not_found, corrupt, unsupported (model_type, dtype,
  /// device), and with use_fallback = false the first kernel's error.
  static std::shared_ptr<PreTrainedModel> from_pretrained(const std::string& name,
                                                          const FromPretrainedOptions& options = {});
};

}  // namespace graft
