#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <random>

#include "graft/error.h"
#include "graft/pretrained_model.h"
#include "kv_cache.h"
#include "paged_kv_cache.h"
#include "sampling.h"

namespace graft {
namespace {

struct Plan {
  Sampling sampling;
  int64_t max_new_tokens;
  uint64_t seed;
  std::vector<int64_t> eos;
  int64_t pad;
};

void refuse(const char* option, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, std::string("generate option ") + option, why);
}

/// The options, where they are silent generation_config.json, and last transformers' defaults; checked.
Plan plan_of(const GenerateOptions& options, const GenerationConfig& config) {
  Plan plan{.sampling = {.do_sample = options.do_sample.value_or(config.do_sample),
                         .temperature = options.temperature.value_or(config.temperature),
                         .top_k = options.top_k.value_or(config.top_k),
                         .top_p = options.top_p.value_or(config.top_p)},
            .max_new_tokens = options.max_new_tokens.value_or(config.max_new_tokens.value_or(20)),
            .seed = options.seed ? *options.seed : std::random_device{}(),
            .eos = options.eos_token_id.value_or(config.eos_token_ids),
            .pad = 0};
  plan.pad = options.pad_token_id.value_or(config.pad_token_id.value_or(plan.eos.empty() ? 0 : plan.eos[0]));
  if (plan.max_new_tokens < 0) refuse("max_new_tokens", "it must be 0 or more");
  if (plan.sampling.temperature <= 0) refuse("temperature", "it must be above 0; do_sample = false is greedy");
  if (plan.sampling.top_k < 0) refuse("top_k", "it must be 0 (all) or more");
  if (plan.sampling.top_p <= 0 || plan.sampling.top_p > 1) refuse("top_p", "it must be above 0 and at most 1");
  return plan;
}

}  // namespace

at::Tensor PreTrainedModel::generate(const at::Tensor& prompt, const GenerateOptions& options) {
  // Put together outside of inference mode, so that what is made of it may get gradients.
  return at::cat(generate_pieces(prompt, options), 1);
}

std::vector<at::Tensor> PreTrainedModel::generate_pieces(const at::Tensor& prompt, const GenerateOptions& options) {
  const c10::InferenceMode inference;  // torch's views, of which a step makes hundreds, cost a third of those under NoGradGuard
  const Plan plan = plan_of(options, generation_config_);
  check_ids(prompt);
  const int64_t batch = prompt.size(0), prompt_length = prompt.size(1);
  at::Tensor mask = options.attention_mask.defined() ? options.attention_mask.to(device(), at::kLong) : at::Tensor();
  if (mask.defined() && mask.dim() == 2 && (mask.select(1, -1) == 0).any().item<bool>()) {
    throw Error(ErrorCode::invalid_argument, "attention_mask", "the last token of a row is padding",
                "pad on the left: tokenizers call it padding_side='left'");
  }
  std::optional<KVCache> cache;
  std::optional<PagedKVCache> pages;
  if (asked_.paged) {
    pages.emplace(config_, batch, parameters()[0].options());
  } else {
    cache.emplace(config_, batch, prompt_length + plan.max_new_tokens, parameters()[0].options());
  }
  at::Generator generator = at::detail::createCPUGenerator(plan.seed);

  at::Tensor ids = prompt.to(device());
  at::Tensor step = ids;
  std::vector<bool> ended(size_t(batch), false);
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
    auto* tokens = next.mutable_data_ptr<int64_t>();
    for (int64_t row = 0; row < batch; ++row) {
      if (ended[size_t(row)]) {
        if (plan.pad < 0 || plan.pad >= config_.vocab_size) refuse("pad_token_id", "it is outside the vocabulary");
        tokens[row] = plan.pad;
      }
      if (ended[size_t(row)]) continue;
      ended[size_t(row)] = std::find(plan.eos.begin(), plan.eos.end(), tokens[row]) != plan.eos.end();
      if (ended[size_t(row)] && pages) pages->release(row);
    }
    step = next.unsqueeze(1).to(device());
    pieces.push_back(step);
    if (options.streamer && !options.streamer({tokens, size_t(batch)})) break;
    if (std::all_of(ended.begin(), ended.end(), [](bool e) { return e; })) break;
    if (mask.defined()) mask = at::cat({mask, at::ones({batch, 1}, mask.options())}, 1);
  }
  return pieces;
}

}  // namespace graft
