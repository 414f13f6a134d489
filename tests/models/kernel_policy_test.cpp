// A model that keeps the faster of kernel and own layer says what it says with either.
#include <gtest/gtest.h>

#include <map>

#include "golden.h"
#include "graft/auto_model.h"

namespace graft {
namespace {

std::shared_ptr<PreTrainedModel> load(const FromPretrainedOptions& options = {.dtype = "float32"}) {
  return AutoModelForCausalLM::from_pretrained((testing::kGolden / "tiny-llama").string(), options);
}

const std::vector<int64_t> kNever;
const GenerateOptions kLong = {.max_new_tokens = 40, .eos_token_id = kNever};

/// How many of the layers of a name have been timed.
std::map<std::string, int> timed(const PreTrainedModel& model) {
  std::map<std::string, int> timed;
  for (const LayerReport& layer : model.kernel_report().layers) timed[layer.layer] += !layer.timings.empty();
  return timed;
}

TEST(KernelPolicyOfAModel, GivesTheSameTokensAndTimesEveryKindOfLayer) {
  const at::Tensor prompt = testing::ids(nlohmann::json{5, 6, 7, 8});
  const auto own = load(),
             model = load({.use_kernels = true,
                           .kernel_config = KernelConfig({{"DecoderLayer", ""}}),  // it would leave them nothing to do in decode
                           .dtype = "float32",
                           .kernel_policy = KernelPolicy::fastest});
  EXPECT_TRUE(model->generate(prompt, kLong).equal(own->generate(prompt, kLong)));
  std::map<std::string, int> layers = timed(*model);
  for (const char* layer : {"RMSNorm", "AddRMSNorm", "SwiGLUMLP", "rotary_pos_emb", "attention", "Linear"})
    EXPECT_GE(layers[layer], 2) << layer;
  EXPECT_TRUE(model->generate(prompt, kLong).equal(own->generate(prompt, kLong)));

  model->set_attn_implementation("graft-kernels/attention");  // as before, and timed anew
  EXPECT_EQ(timed(*model)["attention"], 0);
  EXPECT_TRUE(model->generate(prompt, kLong).equal(own->generate(prompt, kLong)));
  EXPECT_EQ(timed(*model)["attention"], 2);

  model->kernelize();
  model->generate(prompt, kLong);
  EXPECT_EQ(timed(*model)["attention"], 0);
  EXPECT_EQ(model->kernel_report().count(LayerState::fallback), 0);
}

TEST(KernelPolicyOfAModel, LeavesAloneWhatNoOwnLayerDoes) {
  const auto model = load({.use_kernels = true, .dtype = "float32", .kernel_policy = KernelPolicy::fastest});
  model->generate(testing::ids(nlohmann::json{5, 6, 7, 8}), kLong);
  EXPECT_EQ(timed(*model)["DecoderLayer"], 0);
  for (const LayerReport& layer : model->kernel_report().layers) {
    if (layer.layer != "DecoderLayer") continue;
    EXPECT_EQ(layer.counters.calls, 40u);
    EXPECT_NE(layer.reason.find("no other way"), std::string::npos) << layer.reason;
  }
}

TEST(KernelPolicyOfAModel, IsTakenWithAnAttentionKernelAlone) {
  const auto model = load({.attn_implementation = "graft-kernels/attention",
                           .dtype = "float32",
                           .kernel_policy = KernelPolicy::fastest});
  model->generate(testing::ids(nlohmann::json{5, 6, 7, 8}), kLong);
  EXPECT_EQ(timed(*model)["attention"], 2);
}

}  // namespace
}  // namespace graft
