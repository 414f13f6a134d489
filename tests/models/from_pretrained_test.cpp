// Bad input: one clear error that names the thing and the mend.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <fstream>

#include "fixtures.h"
#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"
#include "hub_server.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

class FromPretrained : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("graft-" + std::to_string(::getpid()) + "-" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::copy(testing::kGolden / "tiny-llama", folder_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void edit_config(const std::string& key, const nlohmann::json& value) {
    nlohmann::json config = testing::load_json(folder_ / "config.json");
    config[key] = value;
    std::ofstream(folder_ / "config.json") << config.dump();
  }
  void refused(ErrorCode code, std::initializer_list<std::string> words, const FromPretrainedOptions& options = {}) {
    try {
      AutoModelForCausalLM::from_pretrained(folder_.string(), options);
      FAIL() << "loaded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      for (const std::string& word : words) {
        EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << word << " is not in: " << error.what();
      }
    }
  }
  fs::path folder_;
};

TEST_F(FromPretrained, AFolderThatIsNotThere) {
  fs::remove_all(folder_);
  refused(ErrorCode::not_found, {folder_.string(), "config.json"});
}

TEST_F(FromPretrained, AModelOfAHubByItsName) {
  test::TempFolder hub, cache;
  fs::create_directories(hub.path() / "models/org");
  fs::copy(folder_, hub.path() / "models/org/tiny-llama", fs::copy_options::recursive);
  HubServer server({.root = hub.path(), .token = "secret", .private_repos = {"org/tiny-llama"}});
  test::ScopedEnv endpoint("HF_ENDPOINT", server.endpoint().c_str());
  const FromPretrainedOptions options{.token = "secret", .cache_dir = cache.path()};
  const auto model = AutoModelForCausalLM::from_pretrained("org/tiny-llama", options);
  const at::Tensor prompt = testing::ids({1, 2, 3});
  const auto same = AutoModelForCausalLM::from_pretrained(folder_.string());
  EXPECT_TRUE(at::equal(model->generate(prompt, {.max_new_tokens = 4}), same->generate(prompt, {.max_new_tokens = 4})));
  server.reset_counters();
  AutoModelForCausalLM::from_pretrained("org/tiny-llama", options);
  EXPECT_EQ(server.counters().resolve, 0u);  // cached
  EXPECT_THROW(AutoModelForCausalLM::from_pretrained("org/tiny-llama", {.token = "", .cache_dir = hub.path() / "none"}),
               Error);
}

TEST_F(FromPretrained, AnUnknownModelTypeNamesTheSupportedOnes) {
  edit_config("model_type", "mamba");
  refused(ErrorCode::unsupported, {"mamba", "llama", "qwen3"});
}

TEST_F(FromPretrained, AnActivationThatIsNotServed) {
  edit_config("hidden_act", "gelu");
  refused(ErrorCode::unsupported, {"gelu", "silu"});
}

TEST_F(FromPretrained, MissingWeights) {
  fs::remove(folder_ / "model.safetensors");
  refused(ErrorCode::not_found, {"model.safetensors"});
}

TEST_F(FromPretrained, TruncatedWeights) {
  fs::resize_file(folder_ / "model.safetensors", fs::file_size(folder_ / "model.safetensors") - 4);
  refused(ErrorCode::corrupt, {"model.safetensors"});
}

TEST_F(FromPretrained, WeightsOfAnotherShapeNameTheTensor) {
  edit_config("vocab_size", 300);
  refused(ErrorCode::corrupt, {"model.embed_tokens.weight", "300"});
}

TEST_F(FromPretrained, WeightsWithFewerLayersNameTheMissingTensor) {
  edit_config("num_hidden_layers", 3);
  refused(ErrorCode::not_found, {"model.layers.2."});
}

TEST_F(FromPretrained, WeightsWithMoreLayersNameTheTensorWithoutPlace) {
  edit_config("num_hidden_layers", 1);
  refused(ErrorCode::corrupt, {"model.layers.1."});
}

TEST_F(FromPretrained, AnUnknownDtypeNamesTheKnownOnes) {
  refused(ErrorCode::invalid_argument, {"int3", "bfloat16"}, {.dtype = "int3"});
}

TEST_F(FromPretrained, AnUnknownDeviceNamesTheKnownOnes) {
  refused(ErrorCode::invalid_argument, {"abacus", "cuda"}, {.device_map = "abacus"});
  refused(ErrorCode::invalid_argument, {"cuda:x"}, {.device_map = "cuda:x"});
}

TEST_F(FromPretrained, AMalformedReferenceShowsThePlace) {
  refused(ErrorCode::invalid_argument, {"^"}, {.attn_implementation = "org/repo@:Entry"});
}

TEST_F(FromPretrained, AnUnmappedLayerNameWarnsWithANearName) {
  const auto model = AutoModelForCausalLM::from_pretrained(folder_.string());
  const BindReport report =
      model->kernelize({.kernel_config = KernelConfig({{"RMSnorm", "graft-kernels/norm:RMSNorm"}})});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("did you mean 'RMSNorm'"), std::string::npos) << report.warnings[0];
}

TEST_F(FromPretrained, TheOtherFormOfConfigJsonGivesTheSameModel) {
  const at::NoGradGuard no_grad;
  const at::Tensor prompt = testing::ids(nlohmann::json{5, 6, 7});
  const at::Tensor expected = AutoModelForCausalLM::from_pretrained(folder_.string())->forward(prompt).logits;
  fs::copy_file(folder_ / "other_config.json", folder_ / "config.json", fs::copy_options::overwrite_existing);
  EXPECT_TRUE(AutoModelForCausalLM::from_pretrained(folder_.string())->forward(prompt).logits.equal(expected));
}

TEST_F(FromPretrained, WeightsAreMappedAndTrainingThemLeavesTheFileAsItWas) {
  const auto model = AutoModelForCausalLM::from_pretrained(folder_.string());
  std::ifstream before(folder_ / "model.safetensors", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(before)), {});
  {
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : model->parameters()) parameter.add_(1.0);
  }
  std::ifstream after(folder_ / "model.safetensors", std::ios::binary);
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(after)), {}), bytes);
}

TEST_F(FromPretrained, BFloat16IsConvertedAtLoad) {
  const auto model = AutoModelForCausalLM::from_pretrained(folder_.string(), {.dtype = "bfloat16"});
  for (const at::Tensor& parameter : model->parameters()) EXPECT_EQ(parameter.scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace graft
