// PreTrainedModel: a causal language model of the Llama or Qwen3 family.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "graft/bind_report.h"
#include "graft/generation.h"
#include "graft/generation_config.h"
#include "graft/kernel_config.h"
#include "graft/kernelize.h"
#include "graft/mode.h"
#include "graft/model_config.h"

namespace graft {

class Decoder;
class ForCausalLMLoss;
class Sampler;
class KVCache;
class Linear;
class PagedKVCache;
class Weights;
struct GeneratePlan;

struct ForwardOptions {
  at::Tensor labels = {};          // [B, T] int64, -100: ignored, as is what follows padding; not shifted (forward does that)
  at::Tensor attention_mask = {};  // [B, S] int64 or bool, 0: padding; S counts the cache's tokens too
  at::Tensor position_ids = {};    // [1 or B, T] int64; default: counted from the mask, or from the cache's length
  KVCache* past_key_values = nullptr;
  int64_t logits_to_keep = 0;      // the last n positions alone; 0: all
  /// Whether logits are left away, for which the loss need not hold them all; not given: where the model trains and there
  /// are labels. It does not depend on what is bound. Source: Liger's skip_logits.
  std::optional<bool> skip_logits = std::nullopt;
};

struct CausalLMOutput {
  at::Tensor loss;    // float32 scalar; undefined without labels
  at::Tensor logits;  // [B, T or logits_to_keep, vocab], in the model's dtype; undefined if they were skipped
};

struct ModelKernelizeOptions {
  std::optional<Mode> mode = std::nullopt;
  std::optional<KernelConfig> kernel_config = std::nullopt;  // put over the default mapping
  bool allow_all_kernels = false;
  bool use_fallback = true;
  std::optional<Policy> policy = std::nullopt;  // none given: this machine's and user's, see policy.h
  KernelPolicy kernel_policy = KernelPolicy::always;  // see kernel_policy.h
};

/// Parameter names and shapes are those of transformers' checkpoints. forward and generate are reentrant as long as no
/// thread changes the model; kernelize is safe meanwhile.
class PreTrainedModel : public torch::nn::Module {
 public:
  /// Made by AutoModelForCausalLM::from_pretrained.
  PreTrainedModel(ModelConfig config, GenerationConfig generation_config, Weights& weights);
  ~PreTrainedModel() override;

  /// input_ids [B, T] int64. Throws Error(invalid_argument) for shapes, ids and labels that do not fit.
  CausalLMOutput forward(const at::Tensor& input_ids, const ForwardOptions& options = {});

  /// input_ids [B, T] int64, left-padded if attention_mask says so. Returns [B, T + new] int64, rows that ended filled
  /// with pad_token_id. Runs without gradients. Throws Error(unsupported) for a mask with gaps where the KV cache is in pages.
  at::Tensor generate(const at::Tensor& input_ids, const GenerateOptions& options = {});

  /// As torch's; for training what generate() kept on a device for later prompts, KV caches and graphs, is given back.
  void train(bool on = true) override;

  /// Binds kernels onto the layers, see kernelize.h; mappings of earlier calls stay where this one has none.
  BindReport kernelize(const ModelKernelizeOptions& options = {});
  void unkernelize();
  /// What runs now, layer by layer.
  BindReport kernel_report() const;

  /// What kernelize(options), and then set_attn_implementation(attn_implementation) unless that is empty, would report: see
  /// graft::plan_kernels. `device`: where the weights will be; none given: where they are. Throws Error, as those two.
  BindReport plan_kernels(const ModelKernelizeOptions& options = {}, const std::string& attn_implementation = "",
                          std::optional<c10::Device> device = std::nullopt) const;

  /// "sdpa" (torch's fused attention), "eager", or a kernel's reference, which is bound at once; it takes the place of the
  /// mapping's varlen_attention too, unless kernelize() was asked for one by name. With "paged|" before it generate() keeps its
  /// KV cache in pages, which rows take as they grow and give back when they end; the kernel is then the layer paged_attention's,
  /// with the entry PagedAttention if none is named, and forward() runs attention as before. No kernel_policy given: that of the
  /// last kernelize(). Throws Error(invalid_argument) for anything else.
  BindReport set_attn_implementation(const std::string& implementation, bool allow_all_kernels = false,
                                     bool use_fallback = true, const std::optional<Policy>& policy = std::nullopt,
                                     std::optional<KernelPolicy> kernel_policy = std::nullopt);

  /// Whether training computes each decoder layer's activations again in backward instead of keeping them: see
  /// graft::checkpoint. Not while another thread runs forward.
  void gradient_checkpointing_enable(bool enable = true) { gradient_checkpointing_ = enable; }

  const ModelConfig& config() const { return config_; }
  const GenerationConfig& generation_config() const { return generation_config_; }
  /// The embedding's, where ids are looked up. Tensors on other devices are copied; logits and loss come from lm_head's.
  c10::Device device() const;

 private:
  void check_ids(const at::Tensor& input_ids) const;
  /// forward for ids that were checked: looking at them waits for the device.
  CausalLMOutput forward_checked(const at::Tensor& given_ids, const ForwardOptions& options, PagedKVCache* pages = nullptr);
  void check_labels(const at::Tensor& input_ids, const ForwardOptions& options) const;
  /// generate(), as the prompt and what each step adds to it.
  std::vector<at::Tensor> generate_pieces(const at::Tensor& prompt, const GenerateOptions& options);

  /// What decodes on a device without waiting for the host, one for each batch size, kept for later calls.
  struct DeviceDecodes;
  bool on_one_device() const;
  /// Why generate() cannot use one for these; empty if it can.
  std::string why_no_device_decode(const GeneratePlan& plan) const;
  /// None: a layer has no kernel for it.
  std::optional<std::vector<at::Tensor>> generate_on_device(const at::Tensor& prompt, const at::Tensor& mask, const GenerateOptions& options,
                                                              const GeneratePlan& plan);

  ModelConfig config_;
  GenerationConfig generation_config_;
  std::shared_ptr<Decoder> model_;
  std::shared_ptr<Linear> lm_head_;
  std::shared_ptr<ForCausalLMLoss> loss_function_;
  std::shared_ptr<Sampler> sampler_;
  bool gradient_checkpointing_ = false;

  std::set<std::string> kernel_layers_;

  /// What kernelize() and set_attn_implementation() were asked for, one call over the other.
  struct Asked {
    bool fused_attention = true;
    bool paged = false;  // generate() keeps pages
    bool kernels = false;
    ModelKernelizeOptions options = {};
    KernelConfig config = {};
    std::string attention_kernel = {};  // empty: the mapping's
    std::string paged_kernel = {};      // likewise

    void kernelize(const ModelKernelizeOptions& more);
    void set_attention(const std::string& implementation, bool allow_all_kernels, bool use_fallback,
                       const std::optional<Policy>& policy, std::optional<KernelPolicy> kernel_policy);
  };
  KernelConfig default_config() const;
  KernelizeOptions kernelize_options(const Asked& asked) const;
  Asked asked_;
  std::unique_ptr<DeviceDecodes> device_decodes_;
};

}  // namespace graft
