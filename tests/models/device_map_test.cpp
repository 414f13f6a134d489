// device_map: which module lies where, decided for devices that need not be there, and a model that lies on several.
#include "graft/device_map.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <functional>

#include "device_plan.h"
#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"
#include "kv_cache.h"
#include "paged_kv_cache.h"
#include "placement.h"
#include "weights.h"

namespace graft {
namespace {

constexpr int64_t kGiB = int64_t(1) << 30;
const c10::Device kFirst(c10::kCUDA, 0), kSecond(c10::kCUDA, 1), kMeta(c10::kMeta);
const std::string kLlama = (testing::kGolden / "tiny-llama").string();

/// An embedding, `layers` decoder layers and a norm, in GiB.
std::vector<ModelPart> parts(double embedding, int layers, double layer) {
  std::vector<ModelPart> all = {{"model.embed_tokens", int64_t(embedding * kGiB), {"model.embed_tokens"}}};
  for (int i = 0; i < layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    all.push_back({path, int64_t(layer * kGiB), {path + ".self_attn.q_proj", path + ".mlp.up_proj"}});
  }
  all.push_back({"model.norm", 4096, {"model.norm"}});
  return all;
}

std::string placed(const ModuleDevices& devices, const std::vector<ModelPart>& all) {
  std::string text;
  for (const ModelPart& part : all) {
    const c10::Device* device = find_device(devices, part.module);
    text += device == nullptr ? '?' : device->is_cpu() ? 'c' : char('0' + device->index());
  }
  return text;
}

void expect_refused(ErrorCode code, std::initializer_list<std::string> words, const std::function<void()>& act) {
  try {
    act();
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& word : words) EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << word << " is not in: " << error.what();
  }
}

TEST(DeviceMap, IsWrittenAsAWordOrAsModulesWithTheirDevices) {
  const std::map<std::string, std::string> two = {{"model", "cpu"}, {"lm_head", "cuda:1"}};
  const auto modules = [](const FromPretrainedOptions& options) { return options.device_map.modules(); };
  EXPECT_EQ(modules({.device_map = {{"model", "cpu"}, {"lm_head", "cuda:1"}}}), two);
  EXPECT_EQ(modules({.device_map = two}), two);
  for (const auto& one : {modules({.device_map = "cuda"}), modules({.device_map = std::string("cuda")}), modules({.device_map = {{"", "cuda"}}})}) {
    EXPECT_EQ(one, (std::map<std::string, std::string>{{"", "cuda"}}));
  }
  EXPECT_EQ(modules({}).at(""), "cpu");
}

TEST(DeviceMap, TheLongestPathAtOrAboveAModuleWins) {
  const ModuleDevices devices = {{"", c10::kCPU}, {"model.layers", kFirst}, {"model.layers.1", kSecond}};
  EXPECT_EQ(*find_device(devices, "model.layers.1.mlp.up_proj"), kSecond);
  EXPECT_EQ(*find_device(devices, "model.layers.1"), kSecond);
  EXPECT_EQ(*find_device(devices, "model.layers.10.mlp"), kFirst);
  EXPECT_EQ(*find_device(devices, "model.layers_norm"), c10::Device(c10::kCPU));
  EXPECT_EQ(find_device({{"model", kFirst}}, "lm_head"), nullptr);
}

TEST(DeviceMapAuto, WhatOneDeviceHoldsIsAllThere) {
  const auto all = parts(1, 4, 2);
  EXPECT_EQ(fill_devices(all, {{kFirst, 80 * kGiB}, {kSecond, 80 * kGiB}}), (ModuleDevices{{"", kFirst}}));
  EXPECT_EQ(fill_devices(all, {}), (ModuleDevices{{"", c10::kCPU}}));
}

TEST(DeviceMapAuto, DevicesAreFilledOneAfterAnotherAndTheRestIsOnTheCpu) {
  const auto all = parts(1, 6, 2);
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, 7 * kGiB}, {kSecond, 7 * kGiB}}), all), "000111cc");
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, 7 * kGiB}, {kSecond, 70 * kGiB}}), all), "00011111");
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, 2 * kGiB}}), all), "0ccccccc");
}

TEST(DeviceMapAuto, AShareOfEachDeviceStaysFree) {
  EXPECT_EQ(kept_free(80 * kGiB), 8 * kGiB);
  EXPECT_EQ(kept_free(2 * kGiB), kGiB);
  const auto all = parts(0, 10, 7.5);
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, 80 * kGiB}, {kSecond, 80 * kGiB}}), all), "000000000011");
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, kGiB / 2}}), all), std::string(12, 'c'));  // not even the keeping
}

TEST(DeviceMapAuto, ADeviceTooSmallForAPartIsPassedOver) {
  const auto all = parts(4, 2, 2);
  EXPECT_EQ(placed(fill_devices(all, {{kFirst, 3 * kGiB}, {kSecond, 40 * kGiB}}), all), "1111");
}

TEST(DeviceMap, PartsAreDecoderLayersAndTheModulesAroundThemInTheOrderInWhichTheyRun) {
  const auto model = AutoModelForCausalLM::without_weights(kLlama);
  std::vector<std::string> names;
  int64_t bytes = 0, expected = 0;
  for (const ModelPart& part : parts_of(*model)) {
    names.push_back(part.module);
    bytes += part.bytes;
  }
  for (const at::Tensor& parameter : model->parameters()) expected += int64_t(parameter.nbytes());
  EXPECT_EQ(bytes, expected);
  const std::vector<std::string> in_order = {"model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "lm_head"};
  EXPECT_EQ(names, in_order);
  const auto tied = AutoModelForCausalLM::without_weights((testing::kGolden / "tiny-qwen3").string());
  EXPECT_EQ(parts_of(*tied).back().module, "model.norm");  // its lm_head has no weights of its own
}

TEST(DeviceMap, AModuleThatNothingCoversIsNamed) {
  expect_refused(ErrorCode::invalid_argument, {"'model.norm'"}, [] {
    AutoModelForCausalLM::from_pretrained(kLlama, {.device_map = {{"model.embed_tokens", "cpu"}, {"model.layers", "cpu"}, {"lm_head", "cpu"}}});
  });
}

TEST(DeviceMap, APathThatIsNoModulesIsNamed) {
  expect_refused(ErrorCode::invalid_argument, {"'model.layrs.1'"}, [] {
    AutoModelForCausalLM::from_pretrained(kLlama, {.device_map = {{"", "cpu"}, {"model.layrs.1", "cpu"}}});
  });
}

TEST(DeviceMap, APartOnTwoDevicesIsRefused) {
  expect_refused(ErrorCode::unsupported, {"'model.layers.1'", "meta", "cpu", "model.layers.1.mlp.up_proj"},
                 [] { check_devices({{"", c10::kCPU}, {"model.layers.1.mlp", kMeta}}, parts(1, 2, 1)); });
}

TEST(DeviceMap, WordsForDevicesThatAreNotThereAreRefusedBeforeAnythingIsRead) {
  for (const std::string word : {"abacus", "cuda:x", "disk"}) {
    expect_refused(ErrorCode::invalid_argument, {word}, [&] { AutoModelForCausalLM::from_pretrained("/none", {.device_map = {{"", "cpu"}, {"lm_head", word}}}); });
  }
  expect_refused(ErrorCode::invalid_argument, {"auto", "whole"}, [] { AutoModelForCausalLM::from_pretrained("/none", {.device_map = {{"", "cpu"}, {"model", "auto"}}}); });
}

TEST(DeviceMap, OfTheCpuForEveryModuleGivesThePlainModel) {
  const at::NoGradGuard no_grad;
  const at::Tensor prompt = testing::ids(nlohmann::json{5, 6, 7});
  for (const std::string name : {"tiny-llama", "tiny-qwen3"}) {
    const std::string folder = (testing::kGolden / name).string();
    const auto plain = AutoModelForCausalLM::from_pretrained(folder);
    const auto mapped = AutoModelForCausalLM::from_pretrained(
        folder, {.device_map = {{"model.embed_tokens", "cpu"}, {"model.layers.0", "cpu"}, {"model.layers", "cpu"}, {"model.norm", "cpu"}, {"lm_head", "cpu"}}});
    EXPECT_TRUE(at::equal(mapped->forward(prompt).logits, plain->forward(prompt).logits)) << name;
    EXPECT_TRUE(at::equal(mapped->generate(prompt, {.max_new_tokens = 6}), plain->generate(prompt, {.max_new_tokens = 6}))) << name;
  }
}

TEST(DeviceMap, WeightsAreMadeOnTheDeviceOfTheirModule) {
  for (const std::optional<at::ScalarType> dtype : {std::optional<at::ScalarType>(), std::optional(at::kBFloat16)}) {
    Weights weights(open_checkpoint(kLlama, SafetensorsFile::Access::copy_on_write), dtype);
    weights.place({{"", c10::kCPU}, {"model.layers.1", kMeta}});
    const auto model = std::make_shared<PreTrainedModel>(load_model_config(testing::kGolden / "tiny-llama/config.json"), GenerationConfig(), weights);
    weights.finish();
    const auto plain = AutoModelForCausalLM::from_pretrained(kLlama, {.dtype = dtype ? "bfloat16" : "auto"});
    const auto expected = plain->named_parameters();
    EXPECT_EQ(weights.left_over().size(), 0u);
    for (const auto& parameter : model->named_parameters()) {
      const bool there = parameter.key().starts_with("model.layers.1.");
      EXPECT_EQ(parameter.value().device().type(), there ? c10::kMeta : c10::kCPU) << parameter.key();
      EXPECT_EQ(parameter.value().scalar_type(), expected[parameter.key()].scalar_type());
      if (!there) { EXPECT_TRUE(at::equal(parameter.value(), expected[parameter.key()])) << parameter.key(); }
    }
  }
}

TEST(DeviceMap, CachesLieOnTheDevicesOfTheirLayers) {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.num_key_value_heads = 1;
  config.head_dim = 8;
  const std::vector<c10::Device> devices = {c10::kCPU, kMeta, c10::kCPU};
  const KVCache cache(config, 2, 4, at::kFloat, devices);
  PagedKVCache pages(config, 2, at::kFloat, devices);
  pages.begin_step(Packing({{0, 3}, {0, 3}}, 3, c10::kCPU));
  for (size_t layer = 0; layer < devices.size(); ++layer) {
    for (const at::Tensor& tensor : {cache.keys(layer), cache.values(layer), pages.keys(layer), pages.values(layer), pages.block_table(layer), pages.seqlens_k(layer)})
      EXPECT_EQ(tensor.device(), devices[layer]) << layer;
  }
}

}  // namespace
}  // namespace graft
