#include "graft/pretrained_model.h"

#include <ATen/ops/arange.h>

#include <algorithm>
#include <set>

#include "decoder.h"
#include "device_decodes.h"
#include "graft/error.h"
#include "graft/kernel_mapping.h"
#include "graft/kernel_ref.h"
#include "loss.h"
#include "on_device.h"
#include "sampler.h"

namespace graft {
namespace {

/// Tokens are counted where the mask says that they are real, as transformers' generate does.
at::Tensor positions_from(const at::Tensor& mask, int64_t tokens) {
  const at::Tensor counted = mask.to(at::kLong).cumsum(-1) - 1;
  return counted.clamp_min(0).narrow(1, mask.size(1) - tokens, tokens);
}

/// The real ones among a step's tokens. `all`: what the mask says of them and of those before, if anything is `padded`.
Packing tokens_of_step(bool padded, const std::optional<Packing>& all, const at::Tensor& input_ids) {
  const int64_t tokens = input_ids.size(1);
  if (!padded) return Packing(std::vector<Packing::Span>(size_t(input_ids.size(0)), {0, tokens}), tokens, input_ids.device());
  if (all) return all->last(tokens);
  throw Error(ErrorCode::unsupported, "attention_mask", "a row's tokens do not stand side by side, as pages keep them",
              "pad on the left alone, or set an attn_implementation without paged|");
}

bool is_default(const KernelConfig& config, const std::string& layer) {
  const LayerMapping *mapped = config.find(layer), *by_default = KernelConfig::defaults().find(layer);
  return mapped != nullptr && by_default != nullptr && *mapped == *by_default;
}

/// Whether something in a decoder layer has another kernel than by default, in whose place one for all of the layer would run. SiLU
/// is SwiGLUMLP's.
bool maps_a_part_of_a_layer(const KernelConfig& config) {
  static constexpr const char* kParts[] = {"RMSNorm", "AddRMSNorm", "Linear", "SwiGLUMLP", "rotary_pos_emb", "attention"};
  return !config.fusions().empty() || std::any_of(std::begin(kParts), std::end(kParts), [&](const char* part) {
    return config.find(part) != nullptr && !is_default(config, part);
  });
}

}  // namespace

PreTrainedModel::PreTrainedModel(ModelConfig config, GenerationConfig generation_config, Weights& weights)
    : config_(std::move(config)),
      generation_config_(std::move(generation_config)),
      model_(register_module("model", std::make_shared<Decoder>(weights, "model.", config_))),
      lm_head_(register_module("lm_head", config_.tie_word_embeddings
                                              ? std::make_shared<Linear>(model_->embedding())
                                              : std::make_shared<Linear>(weights, "lm_head.", config_.hidden_size,
                                                                         config_.vocab_size, false))),
      loss_function_(register_module("loss_function", std::make_shared<ForCausalLMLoss>(lm_head_->weight()))),
      sampler_(register_module("sampler", std::make_shared<Sampler>())),
      kernel_layers_(kernel_layers(*this)),
      device_decodes_(std::make_unique<DeviceDecodes>()) {}

PreTrainedModel::~PreTrainedModel() = default;

c10::Device PreTrainedModel::device() const { return model_->embedding().device(); }

void PreTrainedModel::check_ids(const at::Tensor& ids) const {
  if (!ids.defined() || ids.dim() != 2 || ids.scalar_type() != at::kLong || ids.numel() == 0) {
    throw Error(ErrorCode::invalid_argument, "input_ids",
                "they must be int64 of shape [batch, tokens] with at least one token");
  }
  const int64_t low = ids.min().item<int64_t>(), high = ids.max().item<int64_t>();
  if (low < 0 || high >= config_.vocab_size) {
    throw Error(ErrorCode::invalid_argument, "input_ids",
                "they hold the id " + std::to_string(low < 0 ? low : high) + ", and the vocabulary has " +
                    std::to_string(config_.vocab_size),
                "encode the text with the model's own tokenizer");
  }
}

CausalLMOutput PreTrainedModel::forward(const at::Tensor& input_ids, const ForwardOptions& options) {
  check_ids(input_ids);
  check_labels(input_ids, options);
  return forward_checked(input_ids, options);
}

void PreTrainedModel::check_labels(const at::Tensor& input_ids, const ForwardOptions& options) const {
  const at::Tensor& labels = options.labels;
  const auto refuse = [](const std::string& why, const std::string& mend) {
    throw Error(ErrorCode::invalid_argument, "labels", why, mend);
  };
  if (!labels.defined()) {
    if (options.skip_logits.value_or(false)) refuse("there are none, and skip_logits leaves nothing else to compute", "");
    return;
  }
  if (!labels.sizes().equals(input_ids.sizes()) || labels.scalar_type() != at::kLong || options.logits_to_keep != 0) {
    refuse("they must be int64 of input_ids' shape, and logits_to_keep be 0", "");
  }
  const at::Tensor wrong = ((labels < 0) & (labels != -100)) | (labels >= config_.vocab_size);
  if (wrong.any().item<bool>()) {
    refuse("one is neither -100 nor in the vocabulary of " + std::to_string(config_.vocab_size),
           "encode the text with the model's own tokenizer");
  }
}

CausalLMOutput PreTrainedModel::forward_checked(const at::Tensor& given_ids, const ForwardOptions& options, PagedKVCache* pages) {
  const at::Tensor input_ids = on(device(), given_ids);
  const int64_t past = pages != nullptr                     ? pages->length()
                       : options.past_key_values != nullptr ? options.past_key_values->length()
                                                            : 0;
  const int64_t tokens = input_ids.size(1);

  DecoderContext context{.cache = options.past_key_values, .pages = pages, .fused_attention = asked_.fused_attention,
                         .checkpoint = gradient_checkpointing_ && is_training() && options.past_key_values == nullptr};
  at::Tensor mask = options.attention_mask;
  if (mask.defined()) {
    if (mask.dim() != 2 || mask.size(0) != input_ids.size(0) || mask.size(1) != past + tokens) {
      throw Error(ErrorCode::invalid_argument, "attention_mask",
                  "its shape must be [" + std::to_string(input_ids.size(0)) + ", " + std::to_string(past + tokens) + "]");
    }
    mask = mask.to(device(), at::kBool);
    if (!mask.all().item<bool>()) context.mask = mask.unsqueeze(1).unsqueeze(1);
  }
  std::optional<Packing> packing;
  if (context.mask.defined() && (pages != nullptr || tokens > 1)) packing = Packing::of(mask);
  if (pages != nullptr) {
    context.packed_queries = pages->begin_step(tokens_of_step(context.mask.defined(), packing, input_ids));
  } else if (packing && model_->packs()) {
    if (Packing step = packing->last(tokens); step.packed_tokens() > 0) {
      context.packed_queries = std::move(step);
      context.packed_keys = std::move(packing);
    }
  }
  if (context.cache != nullptr && !context.mask.defined() && !options.position_ids.defined()) {
    context.whole = model_->whole_layers(*context.cache, input_ids.size(0), tokens);
  }
  const bool only_last = options.logits_to_keep > 0 && options.logits_to_keep < tokens;
  if (only_last && !context.packed_queries) context.last_tokens = options.logits_to_keep;
  at::Tensor positions = options.position_ids;
  if (!positions.defined()) {
    positions = context.mask.defined()
                    ? positions_from(mask, tokens)
                    : at::arange(past, past + tokens, at::TensorOptions(device()).dtype(at::kLong)).unsqueeze(0);
  }

  at::Tensor hidden = model_->forward(input_ids, positions, context);
  if (config_.tie_word_embeddings && lm_head_->prepacked() && !is_training())
    model_->release_embeddings(input_ids);
  const c10::Device head = lm_head_->weight().device();
  hidden = on(head, hidden);
  const std::optional<Packing> packed = context.packed_queries ? std::optional(context.packed_queries->to(head)) : std::nullopt;
  const bool loss = options.labels.defined();
  const bool skip_logits = options.skip_logits.value_or(is_training() && loss);
  CausalLMOutput output;
  if (!skip_logits) {
    if (packed) hidden = packed->unpack(hidden.squeeze(1));
    if (only_last) hidden = hidden.narrow(1, hidden.size(1) - options.logits_to_keep, options.logits_to_keep);
    output.logits = lm_head_->forward(hidden);
  }
  if (loss) {
    const at::Tensor real = context.mask.defined() ? on(head, mask.narrow(1, past, tokens)) : at::Tensor();
    const at::Tensor next = ForCausalLMLoss::next_tokens(on(head, options.labels), real);
    if (skip_logits) {
      output.loss = loss_function_->forward(hidden.flatten(0, 1), packed ? packed->pack(next) : next.flatten());
    } else {
      output.loss = ForCausalLMLoss::from_logits(output.logits.flatten(0, 1), next.flatten());
    }
  }
  return output;
}

void PreTrainedModel::Asked::kernelize(const ModelKernelizeOptions& more) {
  if (more.kernel_config) config = config.with(*more.kernel_config);
  options = more;
  kernels = true;
}

void PreTrainedModel::Asked::set_attention(const std::string& implementation, bool allow_all_kernels, bool use_fallback,
                                           const std::optional<Policy>& policy, std::optional<KernelPolicy> kernel_policy) {
  AttentionRef attention = AttentionRef::parse(implementation);
  if (attention.paged && attention.kernel.entry.empty()) attention.kernel.entry = "PagedAttention";
  const std::string kernel = attention.builtin.empty() ? attention.kernel.str() : "";
  if (!attention.builtin.empty()) fused_attention = attention.builtin == "sdpa";
  paged = attention.paged;
  attention_kernel = paged ? "" : kernel;
  paged_kernel = paged ? kernel : "";
  options.allow_all_kernels = options.allow_all_kernels || allow_all_kernels;
  options.use_fallback = use_fallback;
  if (policy) options.policy = policy;
  if (kernel_policy) options.kernel_policy = *kernel_policy;
}

/// For the layers that this model has: of those that only others have nobody need be warned.
KernelConfig PreTrainedModel::default_config() const {
  KernelConfig config;
  const KernelConfig active = active_kernel_mapping();
  for (const auto& [layer, mapping] : active.layers()) {
    if (kernel_layers_.contains(layer)) config.add({layer, mapping}, {.use_local_kernel = true});
  }
  for (const KernelConfig::Pair& fusion : active.fusions()) {
    const std::vector<FusionMember>& members = fusion.first.members();
    if (std::all_of(members.begin(), members.end(), [&](const FusionMember& member) { return kernel_layers_.contains(member.layer); }))
      config.add(fusion, {.use_local_kernel = true});
  }
  return config;
}

KernelizeOptions PreTrainedModel::kernelize_options(const Asked& asked) const {
  KernelConfig config;
  if (asked.kernels) config = default_config().with(asked.config);
  if (!asked.attention_kernel.empty()) {
    config = config.with(KernelConfig({{"attention", asked.attention_kernel}}));
    // It was named for all attention: a padded batch is no reason to run another one's.
    if (asked.config.find("varlen_attention") == nullptr) config = config.with(KernelConfig({{"varlen_attention", ""}}));
  }
  if (!asked.paged_kernel.empty()) config = config.with(KernelConfig({{"paged_attention", asked.paged_kernel}}));
  if (maps_a_part_of_a_layer(config) && is_default(config, "DecoderLayer")) config = config.with(KernelConfig({{"DecoderLayer", ""}}));
  return {.mode = asked.options.mode,
          .kernel_config = config,
          .allow_all_kernels = asked.options.allow_all_kernels,
          .use_fallback = asked.options.use_fallback,
          .policy = asked.options.policy,
          .kernel_policy = asked.options.kernel_policy};
}

void PreTrainedModel::train(bool on) {
  torch::nn::Module::train(on);
  if (on) device_decodes_->clear();
}

BindReport PreTrainedModel::kernelize(const ModelKernelizeOptions& options) {
  asked_.kernelize(options);
  const DeviceDecodes::Renewal renewal(*device_decodes_);
  return graft::kernelize(*this, kernelize_options(asked_));
}

void PreTrainedModel::unkernelize() {
  asked_.kernels = false;
  asked_.attention_kernel.clear();
  asked_.paged_kernel.clear();
  const DeviceDecodes::Renewal renewal(*device_decodes_);
  graft::unkernelize(*this);
}

BindReport PreTrainedModel::set_attn_implementation(const std::string& implementation, bool allow_all_kernels,
                                                    bool use_fallback, const std::optional<Policy>& policy,
                                                    std::optional<KernelPolicy> kernel_policy) {
  asked_.set_attention(implementation, allow_all_kernels, use_fallback, policy, kernel_policy);
  const DeviceDecodes::Renewal renewal(*device_decodes_);
  return graft::kernelize(*this, kernelize_options(asked_));
}

BindReport PreTrainedModel::plan_kernels(const ModelKernelizeOptions& options, const std::string& attn_implementation,
                                         std::optional<c10::Device> device) const {
  Asked asked = asked_;
  asked.kernelize(options);
  if (!attn_implementation.empty()) {
    asked.set_attention(attn_implementation, options.allow_all_kernels, options.use_fallback, options.policy, options.kernel_policy);
  }
  KernelizeOptions all = kernelize_options(asked);
  all.device = device;
  return graft::plan_kernels(*this, all);
}

BindReport PreTrainedModel::kernel_report() const {
  BindReport report = graft::kernel_report(*this);
  if (const std::string why = device_decodes_->noted(); !why.empty()) report.warnings.push_back("decode on the device runs without a CUDA graph: " + why);
  return report;
}

}  // namespace graft
