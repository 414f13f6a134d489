// A model whose norm and MLP are one kernel says what it says with its own layers.
#include <gtest/gtest.h>

#include "fixtures.h"
#include "golden.h"
#include "graft/auto_model.h"

namespace graft {
namespace {

const LayerKey kNormMLP = {{"RMSNorm", "model.layers.*.post_attention_layernorm"}, {"SwiGLUMLP", "model.layers.*.mlp"}};

KernelConfig fused(const std::string& kernel = "graft-kernels/mlp:RMSNormMLP") {
  return KernelConfig({{kNormMLP, kernel}}, {.use_local_kernel = true});
}

class FusedModel : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<PreTrainedModel> load() { return AutoModelForCausalLM::from_pretrained((testing::kGolden / GetParam()).string(), {.dtype = "float32"}); }
  at::Tensor prompt_ = testing::ids(nlohmann::json{5, 6, 7, 8});
  std::vector<int64_t> never_;
};

TEST_P(FusedModel, GivesTheSameTokens) {
  const auto own = load(), model = load();
  const BindReport report = model->kernelize({.kernel_config = fused()});
  EXPECT_TRUE(report.as_mapped()) << report;
  int fused_layers = 0, covering = 0;
  for (const LayerReport& layer : report.layers) {
    if (layer.entry == "RMSNormMLP") {
      ++fused_layers;
      EXPECT_EQ(layer.state, LayerState::bound) << layer.reason;
      EXPECT_EQ(layer.layer == "SwiGLUMLP", !layer.covered_by.empty());
    } else if (layer.layer == "AddRMSNorm") {
      ++covering;
      EXPECT_EQ(layer.state, LayerState::own);
      EXPECT_NE(layer.reason.find("would do the work of post_attention_layernorm"), std::string::npos) << layer.reason;
    }
  }
  EXPECT_EQ(fused_layers, 2 * model->config().num_hidden_layers);
  EXPECT_EQ(covering, model->config().num_hidden_layers);
  const GenerateOptions options{.max_new_tokens = 16, .eos_token_id = never_};
  EXPECT_TRUE(model->generate(prompt_, options).equal(own->generate(prompt_, options)));
  for (const LayerReport& layer : model->kernel_report().layers) {
    if (layer.entry == "RMSNormMLP") {
      EXPECT_EQ(layer.counters.calls, 16u) << layer.module;
    }
  }
  model->unkernelize();
  EXPECT_TRUE(model->generate(prompt_, options).equal(own->generate(prompt_, options)));
}

TEST_P(FusedModel, LearnsWhatTheOwnLayersLearn) {
  const auto own = load(), model = load();
  own->train();
  model->train();
  model->kernelize({.kernel_config = fused()});
  for (const LayerReport& layer : model->kernel_report().layers) {
    if (layer.layer == "SwiGLUMLP") {
      EXPECT_EQ(layer.entry, "RMSNormMLP") << layer.reason;
    }
  }
  own->forward(prompt_, {.labels = prompt_}).loss.backward();
  model->forward(prompt_, {.labels = prompt_}).loss.backward();
  for (const auto& parameter : own->named_parameters()) {
    if (!parameter.value().grad().defined()) continue;
    const at::Tensor gradient = model->named_parameters()[parameter.key()].grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    const double scale = parameter.value().grad().abs().max().item<double>();
    EXPECT_LE((gradient - parameter.value().grad()).abs().max().item<double>(), 1e-3 * scale + 1e-7) << parameter.key();
  }
}

TEST_P(FusedModel, LeavesAKernelThatGivesSomethingElse) {
  test::TempFolder state;
  const test::ScopedEnv folder("GRAFT_STATE_DIR", state.path().c_str());
  Policy policy;
  policy.self_check = true;
  const auto model = load();
  const BindReport report = model->kernelize({.kernel_config = fused(test::fixture("fused_Right").string() + ":Zeros"), .policy = policy});
  EXPECT_EQ(report.count(LayerState::fallback), 2 * model->config().num_hidden_layers);
  for (const LayerReport& layer : report.layers) {
    if (layer.state != LayerState::fallback) continue;
    EXPECT_NE(layer.reason.find("differ from the layer's own by up to"), std::string::npos) << layer.reason;
  }
  const GenerateOptions options{.max_new_tokens = 8, .eos_token_id = never_};
  EXPECT_TRUE(model->generate(prompt_, options).equal(load()->generate(prompt_, options)));
}

INSTANTIATE_TEST_SUITE_P(Models, FusedModel, ::testing::Values("tiny-llama", "tiny-qwen3"), [](const auto& info) {
  return info.param.substr(info.param.find('-') + 1);
});

}  // namespace
}  // namespace graft
