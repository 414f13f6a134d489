#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <random>

#include "decoder.h"
#include "device_decodes.h"
#include "graft/error.h"
#include "graft/pretrained_model.h"
#include "kv_cache.h"
#include "paged_kv_cache.h"
#include "sampling.h"

namespace graft {

/// What was asked for, with all that was left open filled in.
struct GeneratePlan {
  Sampling sampling;
  int64_t max_new_tokens;
  uint64_t seed;
  std::vector<int64_t> eos;
  int64_t pad;
  int64_t batch, prompt_length;

  int64_t length() const { return prompt_length + max_new_tokens; }
};

namespace {

void refuse(const char* option, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, std::string("generate option ") + option, why);
}

/// The options, where they are silent generation_config.json, and last transformers' defaults; checked.
GeneratePlan plan_of(const at::Tensor& prompt, const GenerateOptions& options, const GenerationConfig& config) {
  GeneratePlan plan{
      .sampling = {.do_sample = options.do_sample.value_or(config.do_sample),
                   .temperature = options.temperature.value_or(config.temperature),
                   .top_k = options.top_k.value_or(config.top_k),
                   .top_p = options.top_p.value_or(config.top_p)},
      .max_new_tokens = options.max_new_tokens.value_or(config.max_new_tokens.value_or(20)),
      .seed = options.seed ? *options.seed : std::random_device{}(),
      .eos = options.eos_token_id.value_or(config.eos_token_ids),
      .pad = 0,
      .batch = prompt.size(0),
      .prompt_length = prompt.size(1)};
  plan.pad = options.pad_token_id.value_or(config.pad_token_id.value_or(plan.eos.empty() ? 0 : plan.eos[0]));
  if (plan.max_new_tokens < 0) refuse("max_new_tokens", "it must be 0 or more");
  if (plan.sampling.temperature <= 0) refuse("temperature", "it must be above 0; do_sample = false is greedy");
  if (plan.sampling.top_k < 0) refuse("top_k", "it must be 0 (all) or more");
  if (plan.sampling.top_p <= 0 || plan.sampling.top_p > 1) refuse("top_p", "it must be above 0 and at most 1");
  return plan;
}

/// Which rows have ended, and what they get from then on.
class Rows {
 public:
  Rows(const GeneratePlan& plan, const GenerateOptions& options, int64_t vocab)
      : plan_(plan), streamer_(options.streamer), vocab_(vocab), ended_(size_t(plan.batch), false) {}

  /// A step's tokens: those of rows that had ended become padding; on_end(row) where one ends now. False: it is over.
  template <class OnEnd>
  bool take(std::span<int64_t> tokens, OnEnd&& on_end) {
    for (size_t row = 0; row < tokens.size(); ++row) {
      if (ended_[row]) {
        if (plan_.pad < 0 || plan_.pad >= vocab_) refuse("pad_token_id", "it is outside the vocabulary");
        tokens[row] = plan_.pad;
        continue;
      }
      ended_[row] = std::find(plan_.eos.begin(), plan_.eos.end(), tokens[row]) != plan_.eos.end();
      if (ended_[row]) on_end(int64_t(row));
    }
    if (streamer_ && !streamer_(tokens)) return false;
    return !std::all_of(ended_.begin(), ended_.end(), [](bool ended) { return ended; });
  }

 private:
  const GeneratePlan& plan_;
  const std::function<bool(std::span<const int64_t>)>& streamer_;
  int64_t vocab_;
  std::vector<bool> ended_;
};

std::vector<const void*> addresses_of(const torch::nn::Module& model) {
  std::vector<const void*> addresses;
  for (const at::Tensor& parameter : model.parameters()) addresses.push_back(parameter.const_data_ptr());
  return addresses;
}

}  // namespace

at::Tensor PreTrainedModel::generate(const at::Tensor& prompt, const GenerateOptions& options) {
  // Put together outside of inference mode, so that what is made of it may get gradients.
  return at::cat(generate_pieces(prompt, options), 1);
}

std::vector<at::Tensor> PreTrainedModel::generate_pieces(const at::Tensor& prompt, const GenerateOptions& options) {
  const c10::InferenceMode inference;  // torch's views, of which a step makes hundreds, cost a third of those under NoGradGuard
  check_ids(prompt);
  const GeneratePlan plan = plan_of(prompt, options, generation_config_);
  at::Tensor mask = options.attention_mask.defined() ? options.attention_mask.to(device(), at::kLong) : at::Tensor();
  if (mask.defined() && mask.dim() == 2 && (mask.select(1, -1) == 0).any().item<bool>()) {
    throw Error(ErrorCode::invalid_argument, "attention_mask", "the last token of a row is padding",
                "pad on the left: tokenizers call it padding_side='left'");
  }
  if (!device().is_cpu() || !on_one_device()) {
    const std::string why_not = why_no_device_decode(plan);
    device_decodes_->note(why_not);
    if (why_not.empty()) {
      const bool padded = mask.defined() && (mask == 0).any().item<bool>();
      if (auto pieces = generate_on_device(prompt, padded ? mask : at::Tensor(), options, plan)) return std::move(*pieces);
    }
  }
  std::optional<KVCache> cache;
  std::optional<PagedKVCache> pages;
  if (asked_.paged) {
    pages.emplace(config_, plan.batch, parameters()[0].options(), model_->layer_devices());
  } else {
    cache.emplace(config_, plan.batch, plan.length(), parameters()[0].options(), model_->layer_devices());
  }
  at::Generator generator = at::detail::createCPUGenerator(plan.seed);

  at::Tensor ids = prompt.to(device());
  at::Tensor step = ids;
  Rows rows(plan, options, config_.vocab_size);
  std::vector<at::Tensor> pieces = {ids};
  for (int64_t n = 0; n < plan.max_new_tokens; ++n) {
    const at::Tensor logits = forward_checked(step,
                                              {.attention_mask = mask,
                                               .past_key_values = cache ? &*cache : nullptr,
                                               .logits_to_keep = 1},
                                              pages ? &*pages : nullptr)
                                  .logits.select(1, -1);
    // Draws are made on the host, so that a seed means the same on every device.
    at::Tensor next = next_tokens(plan.sampling.do_sample ? logits.cpu() : logits, plan.sampling, generator).cpu();
    const bool more = rows.take({next.mutable_data_ptr<int64_t>(), size_t(plan.batch)}, [&](int64_t row) {
      if (pages) pages->release(row);
    });
    step = next.unsqueeze(1).to(device());
    pieces.push_back(step);
    if (!more) break;
    if (mask.defined()) mask = at::cat({mask, at::ones({plan.batch, 1}, mask.options())}, 1);
  }
  return pieces;
}

bool PreTrainedModel::on_one_device() const { return model_->on_one_device() && lm_head_->weight().device() == device(); }

std::string PreTrainedModel::why_no_device_decode(const GeneratePlan& plan) const {
  if (!on_one_device()) return "its layers are on several devices";
  if (asked_.paged) return "its KV cache is in pages";
  if (is_training()) return "the model trains";
  if (!model_->rotary_is_fixed(plan.length())) return "its rotary frequencies change with the length";
  if (!model_->steps_on_device()) return "a layer has no kernel for DecoderLayer";
  return {};
}

std::optional<std::vector<at::Tensor>> PreTrainedModel::generate_on_device(const at::Tensor& prompt, const at::Tensor& mask,
                                                                           const GenerateOptions& options, const GeneratePlan& plan) {
  const at::Tensor ids = prompt.to(device());
  std::vector<at::Tensor> pieces = {ids};
  if (plan.max_new_tokens == 0) return pieces;
  constexpr int64_t kRoom = 256;  // tokens: prompts of like lengths use the same one again
  uint64_t epoch = 0;
  std::unique_ptr<DeviceDecode> decode = device_decodes_->take(addresses_of(*this), plan.batch, plan.length(), plan.sampling, epoch);
  if (decode == nullptr) {
    const int64_t capacity = (plan.length() + kRoom - 1) / kRoom * kRoom;
    decode = std::make_unique<DeviceDecode>(*model_, *lm_head_, *sampler_, config_, plan.batch, capacity);
  }
  at::Tensor draws;
  if (plan.sampling.do_sample) {  // the same ones as on the CPU, see next_tokens()
    at::Generator generator = at::detail::createCPUGenerator(plan.seed);
    draws = at::rand({plan.max_new_tokens, plan.batch}, generator, at::TensorOptions(at::kDouble));
  }
  decode->cache().clear();
  const at::Tensor logits =
      forward_checked(ids, {.attention_mask = mask, .past_key_values = &decode->cache(), .logits_to_keep = 1}).logits.select(1, -1);
  decode->begin(logits, plan.sampling, draws, mask);

  Rows rows(plan, options, config_.vocab_size);
  at::Tensor tokens = at::empty({plan.batch, plan.max_new_tokens}, at::kLong);
  int64_t made = 0;
  for (bool more = true; more && made < plan.max_new_tokens;) {
    if (made + 1 < plan.max_new_tokens && !decode->step()) {
      device_decodes_->note("a layer's kernel for DecoderLayer does not serve it");
      return std::nullopt;
    }
    const std::span<const int64_t> step = decode->take();
    std::vector<int64_t> row_tokens(step.begin(), step.end());
    more = rows.take(row_tokens, [](int64_t) {});
    for (int64_t row = 0; row < plan.batch; ++row) tokens.mutable_data_ptr<int64_t>()[row * plan.max_new_tokens + made] = row_tokens[size_t(row)];
    ++made;
  }
  pieces.push_back(tokens.narrow(1, 0, made).to(device()));
  device_decodes_->note(decode->why_no_graph());
  device_decodes_->give_back(std::move(decode), epoch);
  return pieces;
}

}  // namespace graft
