// The real model, SmolLM2-135M-Instruct, against transformers on the same GGUF file.
#include <gtest/gtest.h>

#include "golden.h"
#include "graft/auto_model.h"

namespace graft {
namespace {

using testing::ids;

class SmolLM2 : public ::testing::TestWithParam<bool> {
 protected:
  static std::shared_ptr<PreTrainedModel> load(const std::string& dtype = "auto") {
    if (!std::filesystem::exists(testing::smollm2() / "model.safetensors")) {
      throw std::runtime_error("no model in " + testing::smollm2().string() + ": ./tools/test sets it up");
    }
    return AutoModelForCausalLM::from_pretrained(testing::smollm2().string(),
                                                 {.use_kernels = GetParam(), .dtype = dtype});
  }
  nlohmann::json golden_ = testing::load_json(testing::kGolden / "smollm2.json");
};

TEST_P(SmolLM2, GreedyTokensAndLogitsEqualTransformers) {
  const auto model = load();
  for (const nlohmann::json& prompt : golden_["prompts"]) {
    SCOPED_TRACE(prompt["prompt"].get<std::string>());
    const at::Tensor prompt_ids = ids(prompt["prompt_ids"]);
    {
      const at::NoGradGuard no_grad;
      const at::Tensor last = model->forward(prompt_ids, {.logits_to_keep = 1}).logits.flatten();
      for (const char* part : {"last_logits_top20", "last_logits_at"}) {
        const nlohmann::json& expected = prompt[part];
        for (size_t i = 0; i < expected["indices"].size(); ++i) {
          EXPECT_NEAR(last[expected["indices"][i].get<int64_t>()].item<float>(), expected["values"][i].get<float>(), 1e-3);
        }
      }
    }
    const at::Tensor expected = ids(prompt["greedy_ids_ignoring_eos"]);
    const at::Tensor out =
        model->generate(prompt_ids, {.max_new_tokens = expected.size(1), .eos_token_id = std::vector<int64_t>{}});
    EXPECT_TRUE(out.narrow(1, prompt_ids.size(1), expected.size(1)).equal(expected));
  }
}

TEST_P(SmolLM2, LossEqualsTransformers) {
  const auto model = load();
  const at::NoGradGuard no_grad;
  const nlohmann::json& golden = golden_["loss"];
  const at::Tensor input_ids = ids(golden["input_ids"]);
  EXPECT_NEAR(model->forward(input_ids, {.labels = input_ids}).loss.item<float>(),
              golden["loss_unmasked"].get<float>(), 1e-4);
  EXPECT_NEAR(model->forward(input_ids, {.labels = ids(golden["labels_masked"])}).loss.item<float>(),
              golden["loss_masked"].get<float>(), 1e-4);
}

TEST_P(SmolLM2, BFloat16StaysCloseToFloat32) {
  const auto model = load("bfloat16");
  EXPECT_EQ(model->parameters()[0].scalar_type(), at::kBFloat16);
  const at::NoGradGuard no_grad;
  const nlohmann::json& golden = golden_["loss"];
  const at::Tensor input_ids = ids(golden["input_ids"]);
  EXPECT_NEAR(model->forward(input_ids, {.labels = input_ids}).loss.item<float>(),
              golden["loss_unmasked"].get<float>(), 0.02);
}

INSTANTIATE_TEST_SUITE_P(Kernels, SmolLM2, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "bound" : "own"; });

}  // namespace
}  // namespace graft
