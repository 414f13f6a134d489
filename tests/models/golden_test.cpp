// Both families against transformers on small random checkpoints: logits, loss, gradients, greedy tokens.
#include "golden.h"

#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include "graft/auto_model.h"

namespace graft {
namespace {

using testing::floats;
using testing::ids;
using testing::kGolden;

struct Case {
  std::string folder;
  bool use_kernels;
  std::string attention;
};

class Golden : public ::testing::TestWithParam<Case> {
 protected:
  nlohmann::json golden_ = testing::load_json(kGolden / GetParam().folder / "golden.json");
  std::shared_ptr<PreTrainedModel> model_ = AutoModelForCausalLM::from_pretrained(
      (kGolden / GetParam().folder).string(),
      {.use_kernels = GetParam().use_kernels, .attn_implementation = GetParam().attention});
  at::Tensor input_ids_ = ids(golden_["input_ids"]), mask_ = ids(golden_["attention_mask"]);
};

TEST_P(Golden, KernelsAreBoundExactlyWhenAskedFor) {
  const BindReport report = model_->kernel_report();
  EXPECT_GT(report.layers.size(), 20u);
  const auto left_alone = std::count_if(report.layers.begin(), report.layers.end(), [](const LayerReport& layer) {
    return testing::waits_to_be_named(layer);
  });
  EXPECT_EQ(left_alone, 2 + 1);
  EXPECT_EQ(report.count(LayerState::bound), GetParam().use_kernels ? int(report.layers.size() - size_t(left_alone)) : 0) << report;
}

TEST_P(Golden, LogitsOfUnpaddedInputEqualTransformers) {
  const at::NoGradGuard no_grad;
  const at::Tensor logits = model_->forward(ids(golden_["unpadded_input_ids"])).logits.flatten();
  EXPECT_LT((logits - floats(golden_["unpadded_logits"])).abs().max().item<float>(), 2e-5f);
}

TEST_P(Golden, LogitsOfALeftPaddedBatchEqualTransformersWhereTheMaskIsOne) {
  const at::NoGradGuard no_grad;
  const at::Tensor logits = model_->forward(input_ids_, {.attention_mask = mask_}).logits;
  const at::Tensor expected = floats(golden_["logits"]).view(logits.sizes());
  const at::Tensor difference = ((logits - expected) * mask_.unsqueeze(-1)).abs();
  EXPECT_LT(difference.max().item<float>(), 2e-5f);
}

// The last layer computes for these alone, from all tokens before them.
TEST_P(Golden, LogitsToKeepAreTheLastOfAllLogits) {
  const at::Tensor whole = ids(golden_["unpadded_input_ids"]), batch = at::cat({whole, whole.flip(1)});
  const at::NoGradGuard no_grad;
  for (const auto& [input_ids, mask] :
       {std::pair(whole, at::Tensor()), {batch, at::Tensor()}, {input_ids_, mask_}}) {
    const at::Tensor all = model_->forward(input_ids, {.attention_mask = mask}).logits;
    for (int64_t keep : {int64_t{1}, int64_t{3}, input_ids.size(1), input_ids.size(1) + 1}) {
      const at::Tensor kept =
          model_->forward(input_ids, {.attention_mask = mask, .logits_to_keep = keep}).logits;
      const int64_t last = std::min(keep, input_ids.size(1));
      ASSERT_EQ(kept.sizes(), (std::vector<int64_t>{input_ids.size(0), last, all.size(2)}));
      const at::Tensor expected = all.narrow(1, all.size(1) - last, last);
      at::Tensor difference = (kept - expected).abs();
      if (mask.defined()) difference = difference * mask.narrow(1, mask.size(1) - last, last).unsqueeze(-1);
      EXPECT_LT(difference.max().item<float>(), 1e-5f) << keep;
    }
  }
}

TEST_P(Golden, GradientsOfKeptLogitsAreThoseOfAll) {
  const at::Tensor input_ids = ids(golden_["unpadded_input_ids"]);
  const auto gradients = [&](int64_t keep) {
    model_->zero_grad();
    model_->forward(input_ids, {.logits_to_keep = keep}).logits.select(1, -1).pow(2).sum().backward();
    std::vector<at::Tensor> found;
    for (const at::Tensor& parameter : model_->parameters()) found.push_back(parameter.grad().clone());
    return found;
  };
  const std::vector<at::Tensor> all = gradients(0), kept = gradients(1);
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_LT((kept[i] - all[i]).abs().max().item<float>(), 1e-4f * all[i].abs().max().item<float>()) << i;
}

TEST_P(Golden, LossAndGradientsEqualTransformers) {
  const CausalLMOutput output =
      model_->forward(input_ids_, {.labels = ids(golden_["labels"]), .attention_mask = mask_});
  EXPECT_NEAR(output.loss.item<float>(), golden_["loss"].get<float>(), 1e-5);
  output.loss.backward();
  size_t compared = 0;
  for (const auto& parameter : model_->named_parameters()) {
    SCOPED_TRACE(parameter.key());
    const nlohmann::json& expected = golden_["gradients"].at(parameter.key());
    const at::Tensor gradient = parameter.value().grad();
    ASSERT_TRUE(gradient.defined());
    const double norm = expected["norm"].get<double>();
    EXPECT_NEAR(gradient.norm().item<double>(), norm, 1e-4 * norm + 1e-6);
    const at::Tensor flat = gradient.flatten();
    const auto values = expected["values"].get<std::vector<float>>();
    const bool sparse = expected.contains("indices");
    for (size_t i = 0; i < values.size(); ++i) {
      const int64_t index = sparse ? expected["indices"][i].get<int64_t>() : int64_t(i);
      EXPECT_NEAR(flat[index].item<float>(), values[i], 1e-5f + 1e-3f * std::abs(values[i]));
    }
    ++compared;
  }
  EXPECT_EQ(compared, golden_["gradients"].size());
}

TEST_P(Golden, GreedyTokensOfALeftPaddedBatchEqualTransformers) {
  const at::Tensor out =
      model_->generate(input_ids_, {.max_new_tokens = 16, .eos_token_id = std::vector<int64_t>{}, .attention_mask = mask_});
  EXPECT_TRUE(out.narrow(1, input_ids_.size(1), 16).equal(ids(golden_["greedy_ids"]))) << out;
}

TEST_P(Golden, GreedyTokensOfOneRowEqualTransformers) {
  const at::Tensor prompt = ids(golden_["unpadded_input_ids"]);
  const at::Tensor out = model_->generate(prompt, {.max_new_tokens = 16, .eos_token_id = std::vector<int64_t>{}});
  EXPECT_TRUE(out.narrow(1, prompt.size(1), 16).equal(ids(golden_["greedy_ids_unpadded"]))) << out;
}

TEST_P(Golden, RowsThatEndAreFilledWithThePadToken) {
  const nlohmann::json& eos = golden_["greedy_eos"];
  const at::Tensor out = model_->generate(
      input_ids_, {.max_new_tokens = 16,
                   .eos_token_id = std::vector<int64_t>{eos["eos_token_id"].get<int64_t>()},
                   .pad_token_id = eos["pad_token_id"].get<int64_t>(),
                   .attention_mask = mask_});
  EXPECT_TRUE(out.narrow(1, input_ids_.size(1), out.size(1) - input_ids_.size(1)).equal(ids(eos["ids"]))) << out;
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         ::testing::Values(Case{"tiny-llama", false, "sdpa"}, Case{"tiny-llama", false, "eager"},
                                           Case{"tiny-llama", true, "sdpa"}, Case{"tiny-qwen3", false, "sdpa"},
                                           Case{"tiny-qwen3", false, "eager"}, Case{"tiny-qwen3", true, "sdpa"}),
                         [](const auto& info) {
                           std::string name = info.param.folder + (info.param.use_kernels ? "_kernels_" : "_own_") +
                                              info.param.attention;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace graft
