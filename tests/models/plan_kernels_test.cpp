// A model without weights is planned, layer by layer, as the real one is then bound.
#include <gtest/gtest.h>

#include <functional>

#include "fixtures.h"
#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using testing::kGolden;

std::vector<std::string> lines(const BindReport& report) {
  std::vector<std::string> lines;
  for (const LayerReport& l : report.layers) {
    std::string text;
    for (const std::string& part :
         {l.layer, l.module, std::string(name(l.state)), l.reference, l.repo, l.commit, l.variant, l.entry,
          l.digest, l.trust, l.signer, l.covered_by, l.reason}) {
      text += part + " | ";
    }
    lines.push_back(text);
  }
  return lines;
}

/// A folder with a model's config.json and nothing else.
class ConfigAlone {
 public:
  explicit ConfigAlone(const fs::path& model) : ConfigAlone(testing::load_json(model / "config.json")) {}
  explicit ConfigAlone(const nlohmann::json& config) {
    test::write_file(folder_.path() / "config.json", config.dump());
  }
  std::shared_ptr<PreTrainedModel> model(const std::string& dtype = "auto") const {
    return AutoModelForCausalLM::without_weights(folder_.path().string(), {.dtype = dtype});
  }

 private:
  test::TempFolder folder_;
};

/// All that binding can come to, in one model: bound, an entry that is not there, a kernel that is not for
/// the dtype, one that refuses, a disabled layer, an unknown one.
std::vector<ModelKernelizeOptions> ways_to_bind() {
  const KernelConfigOptions local{.use_local_kernel = true};
  return {{},
          {.kernel_config = KernelConfig({{"SiLU", "graft-kernels/mlp:NoSuchEntry"},
                                          {"Linear", ""},
                                          {"RMSnorm", "graft-kernels/norm:RMSNorm"},
                                          {"attention", "graft-kernels/attention@v99.0.0:Attention"}})},
          {.kernel_config = KernelConfig({{"RMSNorm", test::fixture("good").string() + ":TestRMSNorm"},
                                          {"AddRMSNorm", test::fixture("good").string() + ":TestRMSNorm"}},
                                         local)},
          {.kernel_config =
               KernelConfig({{"RMSNorm", test::fixture("create_fails").string() + ":TestRMSNorm"}}, local)},
          {.mode = Mode::Inference},
          {.mode = Mode::Training}};
}

void expect_plans_like(const fs::path& folder, const std::string& dtype) {
  const auto model = AutoModelForCausalLM::from_pretrained(folder.string(), {.dtype = dtype});
  const auto planned = ConfigAlone(folder).model(dtype);
  for (const at::Tensor& parameter : planned->parameters()) EXPECT_TRUE(parameter.is_meta());
  for (const ModelKernelizeOptions& options : ways_to_bind()) {
    const BindReport plan = planned->plan_kernels(options);
    EXPECT_EQ(planned->kernel_report().count(LayerState::own), int(plan.layers.size()));  // nothing was bound
    const auto fresh = AutoModelForCausalLM::from_pretrained(folder.string(), {.dtype = dtype});
    EXPECT_EQ(lines(fresh->plan_kernels(options)), lines(plan));
    const BindReport bound = fresh->kernelize(options);
    EXPECT_EQ(lines(plan), lines(bound));
    EXPECT_EQ(plan.warnings, bound.warnings);
  }
}

class Planned : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(Planned, LayersAreThoseThatAreBound) {
  expect_plans_like(kGolden / GetParam().first, GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(TinyModels, Planned,
                         ::testing::Values(std::pair<std::string, std::string>("tiny-llama", "auto"),
                                           std::pair<std::string, std::string>("tiny-llama", "bfloat16"),
                                           std::pair<std::string, std::string>("tiny-qwen3", "auto"),
                                           std::pair<std::string, std::string>("tiny-qwen3", "float16")),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(PlanKernels, OfTheRealModelIsWhatIsBound) {
  if (!fs::exists(testing::smollm2() / "model.safetensors"))
    GTEST_SKIP() << "no model in " << testing::smollm2();
  const BindReport plan = ConfigAlone(testing::smollm2()).model()->plan_kernels();
  const auto model = AutoModelForCausalLM::from_pretrained(testing::smollm2().string());
  EXPECT_EQ(lines(plan), lines(model->kernelize()));
}

TEST(PlanKernels, TakesAnAttentionAsTheModelDoes) {
  const auto planned = ConfigAlone(kGolden / "tiny-llama").model();
  const auto model = AutoModelForCausalLM::from_pretrained((kGolden / "tiny-llama").string());
  model->kernelize();
  for (const std::string attention :
       {"graft-kernels/attention:NoSuchEntry", "graft-kernels/attention:Attention", "paged|graft-kernels/attention",
        "paged|sdpa", "sdpa"}) {
    EXPECT_EQ(lines(planned->plan_kernels({}, attention)), lines(model->set_attn_implementation(attention)))
        << attention;
  }
  EXPECT_THROW(planned->plan_kernels({}, "paged|nonsense"), Error);
}

TEST(PlanKernels, TheDefaultMappingWarnsOfNoLayerThatAModelLacks) {
  nlohmann::json config = testing::load_json(kGolden / "tiny-llama/config.json");
  config["mlp_bias"] = true;  // the contract SwiGLUMLP has none
  const auto planned = ConfigAlone(config).model();
  EXPECT_TRUE(planned->plan_kernels().warnings.empty());
  const BindReport asked_for =
      planned->plan_kernels({.kernel_config = KernelConfig({{"SwiGLUMLP", "graft-kernels/mlp:SwiGLUMLP"}})});
  EXPECT_EQ(asked_for.warnings.size(), 1u);
}

TEST(WithoutWeights, TakesTheDtypeOfTheConfigurationUnlessAnotherIsGiven) {
  nlohmann::json config = testing::load_json(kGolden / "tiny-llama/config.json");
  config["dtype"] = "bfloat16";
  EXPECT_EQ(ConfigAlone(config).model()->parameters()[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(ConfigAlone(config).model("float16")->parameters()[0].scalar_type(), at::kHalf);
  config.erase("dtype");
  EXPECT_EQ(ConfigAlone(config).model()->parameters()[0].scalar_type(), at::kFloat);
}

TEST(WithoutWeights, RefusesSizesThatNoMemoryHolds) {
  nlohmann::json config = testing::load_json(kGolden / "tiny-llama/config.json");
  config["vocab_size"] = config["hidden_size"] = 2147483640;  // 2^62 elements of 4 bytes
  try {
    ConfigAlone(config).model();
    FAIL() << "made";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_NE(std::string(error.what()).find("model.embed_tokens.weight"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace graft
