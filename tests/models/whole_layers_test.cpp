// Kernels for a whole decoder layer on the CPU: where they run, and that nothing but time tells.
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "graft/auto_model.h"
#include "kv_cache.h"

namespace graft {
namespace {

const std::vector<int64_t> kNever;
const KernelConfig kInt8Parts({{"Linear", "graft-kernels/linear:Int8Linear"},
                               {"SwiGLUMLP", "graft-kernels/mlp:Int8SwiGLUMLP"}});
const KernelConfig kInt8 =
    kInt8Parts.with(KernelConfig({{"DecoderLayer", "graft-kernels/decoder:Int8DecoderLayer"}}));

std::shared_ptr<PreTrainedModel> load(const std::string& name, bool use_kernels,
                                      std::optional<KernelConfig> config = {}) {
  return AutoModelForCausalLM::from_pretrained(
      (testing::kGolden / name).string(), {.use_kernels = use_kernels, .kernel_config = std::move(config)});
}

at::Tensor ids(int64_t batch, int64_t tokens) {
  return at::randint(3, 250, {batch, tokens}, at::kLong);
}

KVCache cache_of(const PreTrainedModel& model, int64_t batch, int64_t capacity) {
  return KVCache(model.config(), batch, capacity, at::TensorOptions(at::kFloat));
}

uint64_t calls(const PreTrainedModel& model, const std::string& layer) {
  uint64_t sum = 0;
  for (const LayerReport& each : model.kernel_report().layers)
    if (each.layer == layer) sum += each.counters.calls;
  return sum;
}

void expect_states(const PreTrainedModel& model, LayerState state) {
  for (const LayerReport& layer : model.kernel_report().layers) {
    if (layer.layer == "DecoderLayer") {
      EXPECT_EQ(layer.state, state) << layer.reason;
    }
  }
}

class WholeLayers : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<PreTrainedModel> own_ = load(GetParam(), false), model_ = load(GetParam(), true);
  int64_t layers_ = own_->config().num_hidden_layers;
};

TEST_P(WholeLayers, GenerateTheTokensOfOwnLayers) {
  for (int64_t batch : {1, 3}) {
    const at::Tensor prompt = ids(batch, 20);  // more rows than a step streams, for one or for three
    const uint64_t before = calls(*model_, "DecoderLayer");
    const GenerateOptions options{.max_new_tokens = 12, .eos_token_id = kNever};
    EXPECT_TRUE(model_->generate(prompt, options).equal(own_->generate(prompt, options)));
    EXPECT_EQ(calls(*model_, "DecoderLayer") - before, uint64_t(12 * layers_ - 1))
        << "all but the prompt's last layer";
  }
}

TEST_P(WholeLayers, GrowTheCacheInAnyStrides) {
  const at::NoGradGuard no_grad;
  const at::Tensor all = ids(2, 40);
  const at::Tensor expected = own_->forward(all).logits;
  KVCache cache = cache_of(*model_, 2, 3);
  int64_t at = 0;
  for (int64_t tokens : {2, 1, 8, 20, 1, 1, 7}) {
    const at::Tensor logits = model_->forward(all.narrow(1, at, tokens), {.past_key_values = &cache}).logits;
    EXPECT_TRUE(logits.allclose(expected.narrow(1, at, tokens), 1e-3, 1e-4)) << at;
    at += tokens;
  }
  EXPECT_EQ(cache.length(), 40);
  EXPECT_EQ(calls(*model_, "DecoderLayer"), uint64_t(7 * layers_));
}

TEST_P(WholeLayers, LeavePaddingPositionsAndGradientsToTheirParts) {
  const at::Tensor prompt = ids(2, 6);
  at::Tensor mask = at::full({2, 6}, 1, at::kLong);
  mask[1][0] = 0;
  const GenerateOptions options{.max_new_tokens = 4, .eos_token_id = kNever, .attention_mask = mask};
  EXPECT_TRUE(model_->generate(prompt, options).equal(own_->generate(prompt, options)));

  KVCache cache = cache_of(*model_, 2, 8), own_cache = cache_of(*own_, 2, 8);
  const at::Tensor with_gradients = model_->forward(prompt, {.past_key_values = &cache}).logits;
  EXPECT_TRUE(
      with_gradients.allclose(own_->forward(prompt, {.past_key_values = &own_cache}).logits, 1e-3, 1e-4));
  with_gradients.sum().backward();
  EXPECT_TRUE(model_->parameters()[0].grad().defined());

  const at::NoGradGuard no_grad;
  const at::Tensor places = at::full({1, 1}, 3, at::kLong), next = ids(2, 1);
  const at::Tensor elsewhere =
      model_->forward(next, {.position_ids = places, .past_key_values = &cache}).logits;
  EXPECT_TRUE(elsewhere.allclose(
      own_->forward(next, {.position_ids = places, .past_key_values = &own_cache}).logits, 1e-3, 1e-4));
  EXPECT_EQ(calls(*model_, "DecoderLayer"), 0u);
}

TEST_P(WholeLayers, GiveWayToAKernelThatIsMappedForAPart) {
  const at::Tensor prompt = ids(1, 5);
  const GenerateOptions options{.max_new_tokens = 4, .eos_token_id = kNever};
  expect_states(*model_, LayerState::bound);
  model_->kernelize({.kernel_config = KernelConfig({{"RMSNorm", ""}})});
  expect_states(*model_, LayerState::disabled);
  model_->generate(prompt, options);
  EXPECT_EQ(calls(*model_, "DecoderLayer"), 0u);
  EXPECT_GT(calls(*model_, "Linear"), 0u);

  model_->kernelize({.kernel_config = KernelConfig(
                         {{"DecoderLayer", "graft-kernels/decoder:DecoderLayer"}})});  // by name it stands
  expect_states(*model_, LayerState::bound);
}

TEST_P(WholeLayers, GiveWayToAnAttentionKernelByName) {
  expect_states(*model_, LayerState::bound);
  model_->set_attn_implementation("graft-kernels/attention@v1.0.0:Attention");
  expect_states(*model_, LayerState::disabled);
  model_->set_attn_implementation("sdpa");
  expect_states(*model_, LayerState::bound);
}

TEST_P(WholeLayers, In8BitsLeaveNothingToTheirParts) {
  const auto parts = load(GetParam(), false, kInt8Parts), whole = load(GetParam(), false, kInt8);
  expect_states(*whole, LayerState::bound);
  const at::NoGradGuard no_grad;
  const at::Tensor all = ids(1, 60);
  KVCache cache = cache_of(*whole, 1, 60), other = cache_of(*parts, 1, 60);
  int64_t at = 0;
  for (int64_t tokens : {40, 1, 19}) {
    const at::Tensor logits = whole->forward(all.narrow(1, at, tokens), {.past_key_values = &cache}).logits;
    EXPECT_TRUE(logits.allclose(parts->forward(all.narrow(1, at, tokens), {.past_key_values = &other}).logits,
                                1e-2, 1e-3))
        << at;
    at += tokens;
  }
  EXPECT_EQ(calls(*whole, "DecoderLayer"), uint64_t(3 * layers_));
  EXPECT_EQ(calls(*whole, "SwiGLUMLP"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Models, WholeLayers, ::testing::Values("tiny-llama", "tiny-qwen3"),
                         [](const auto& info) {
                           return info.param == "tiny-llama" ? "TinyLlama" : "TinyQwen3";
                         });

}  // namespace
}  // namespace graft
