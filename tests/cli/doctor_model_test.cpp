// `graft doctor MODEL` and `graft run --kernels strict` as a person or a CI job meets them.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "hub_server.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Result;

const fs::path kGolden = fs::path(GRAFT_SOURCE_DIR) / "tests/golden";

class DoctorModel : public testing::Test {
 protected:
  DoctorModel() {
    hub_.add("stranger/norm", "v1.0.0", test::fixture("good"));
    test::write_file(config_alone() + "/config.json", test::read_file(kGolden / "tiny-llama/config.json"));
  }
  void SetUp() override {
    if (std::string_view(GRAFT_FIRST_PARTY_HUB).empty()) GTEST_SKIP() << "built without plugins";
  }

  /// tiny-llama's configuration, in a folder without weights.
  std::string config_alone() const { return (folder_.path() / "tiny-llama").string(); }
  Result doctor(const std::string& arguments) const {
    return test::run_graft("doctor " + config_alone() + " --device cpu " + arguments);
  }

  test::TestHub hub_;
  test::TempFolder folder_;

 private:
  test::ScopedEnv first_party_{"GRAFT_HUB", GRAFT_FIRST_PARTY_HUB};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
};

bool says(const Result& result, const std::string& words) {
  return result.out.find(words) != std::string::npos;
}

TEST_F(DoctorModel, SaysWhichLayersWouldBeBound) {
  for (const std::string model : {"tiny-llama", "tiny-qwen3"}) {
    const Result done = test::run_graft("doctor " + (kGolden / model).string() + " --device cpu --strict");
    EXPECT_EQ(done.exit, 0) << done.out;
    EXPECT_TRUE(says(done, "layers would be bound")) << done.out;
    EXPECT_TRUE(says(done, "graft-kernels/norm:RMSNorm")) << done.out;
    EXPECT_FALSE(says(done, "fallback")) << done.out;
  }
}

TEST_F(DoctorModel, NeedsNoWeights) {
  const Result done = doctor("--json");
  ASSERT_EQ(done.exit, 0) << done.out;
  const json report = json::parse(done.out);
  EXPECT_EQ(report["would_fall_back"], 0);
  EXPECT_TRUE(report["warnings"].empty());
  EXPECT_GT(report["layers"].size(), 20u);
  for (const json& layer : report["layers"]) {
    const bool generates_alone = layer["layer"] == "paged_attention" || layer["layer"] == "Sampling";
    EXPECT_EQ(layer["state"], generates_alone ? "own" : "bound") << layer;
  }
  EXPECT_EQ(
      report["layers"].size(),
      json::parse(test::run_graft("doctor " + (kGolden / "tiny-llama").string() + " --device cpu --json")
                      .out)["layers"]
          .size());
}

TEST_F(DoctorModel, SaysWhyALayerWouldFallBackAndFailsIfStrict) {
  const std::string unknown_entry = "--map SiLU=graft-kernels/mlp:NoSuchEntry ";
  const Result report = doctor(unknown_entry);
  EXPECT_EQ(report.exit, 0) << report.out;
  EXPECT_TRUE(says(report, "no such entry")) << report.out;
  EXPECT_TRUE(says(report, "would fall back")) << report.out;
  const Result strict = doctor(unknown_entry + "--strict");
  EXPECT_EQ(strict.exit, 1);
  EXPECT_TRUE(says(strict, "--strict: 2 mapped layers fall back")) << strict.out;
  const Result as_json = doctor(unknown_entry + "--strict --json");
  EXPECT_EQ(as_json.exit, 1);
  EXPECT_EQ(json::parse(as_json.out)["would_fall_back"], 2);
}

TEST_F(DoctorModel, ANameThatReachesNoLayerFailsIfStrict) {
  const std::string misspelt = "--map RMSnorm=graft-kernels/norm:RMSNorm ";
  const Result report = doctor(misspelt);
  EXPECT_EQ(report.exit, 0) << report.out;
  EXPECT_TRUE(says(report, "did you mean 'RMSNorm'")) << report.out;
  const Result strict = doctor(misspelt + "--strict");
  EXPECT_EQ(strict.exit, 1);
  EXPECT_TRUE(says(strict, "--strict: 1 mapped name is none of the model's")) << strict.out;
}

TEST_F(DoctorModel, TellsWhichLayersAreFused) {
  const std::string layers = "--map 'RMSNorm@model.layers.*.post_attention_layernorm+SwiGLUMLP@model.layers.*.";
  const Result report = doctor(layers + "mlp=graft-kernels/mlp:RMSNormMLP' --strict");
  EXPECT_EQ(report.exit, 0) << report.out;
  EXPECT_TRUE(says(report, "its work is done by model.layers.*.post_attention_layernorm (RMSNorm)")) << report.out;
  const Result nowhere = doctor(layers + "mpl=graft-kernels/mlp:RMSNormMLP' --strict");
  EXPECT_EQ(nowhere.exit, 1);
  EXPECT_TRUE(says(nowhere, "there is no module model.layers.*.mpl")) << nowhere.out;
  EXPECT_EQ(doctor("--map 'RMSNorm@model.layers.*.mlp=graft-kernels/mlp:RMSNormMLP'").exit, 2);
}

TEST_F(DoctorModel, AStrangersKernelNeedsAllowAllKernels) {
  const std::string strangers = "--map RMSNorm=stranger/norm:TestRMSNorm --strict ";
  const Result refused = doctor(strangers);
  EXPECT_EQ(refused.exit, 1);
  EXPECT_TRUE(says(refused, "not a trusted publisher")) << refused.out;
  const Result allowed = doctor(strangers + "--allow-all-kernels");
  EXPECT_EQ(allowed.exit, 0) << allowed.out;
  EXPECT_TRUE(says(allowed, "stranger/norm:TestRMSNorm")) << allowed.out;
}

TEST_F(DoctorModel, TakesDtypeModeAndAttentionAsRunDoes) {
  EXPECT_EQ(doctor("--dtype bfloat16 --strict").exit, 0);
  const Result half = doctor("--dtype float16 --strict");
  EXPECT_EQ(half.exit, 1);
  EXPECT_TRUE(says(half, "the layer is in float16")) << half.out;
  EXPECT_EQ(doctor("--mode training --strict").exit, 0);  // first-party kernels have a backward
  EXPECT_EQ(doctor("--mode training+torch_compile --strict").exit, 0);  // and work as operators
  EXPECT_EQ(doctor("--attn-implementation graft-kernels/attention:NoSuchEntry --strict").exit, 1);
  const Result paged = doctor("--attn-implementation 'paged|graft-kernels/attention' --strict");
  EXPECT_EQ(paged.exit, 0) << paged.out;
  EXPECT_TRUE(says(paged, "graft-kernels/attention:PagedAttention")) << paged.out;
  const Result disabled = doctor("--map RMSNorm= --strict");
  EXPECT_EQ(disabled.exit, 0);
  EXPECT_TRUE(says(disabled, "unmapped or disabled")) << disabled.out;
}

TEST_F(DoctorModel, EndsWithOneForAModelThatCannotBeReadAndTwoForWrongUsage) {
  const Result absent = test::run_graft("doctor /no/such/model");
  EXPECT_EQ(absent.exit, 1);
  EXPECT_TRUE(says(absent, "/no/such/model")) << absent.out;
  test::write_file(config_alone() + "/config.json", R"({"model_type": "mamba"})");
  const Result unknown = doctor("--json");
  EXPECT_EQ(unknown.exit, 1);
  EXPECT_EQ(json::parse(unknown.out)["error"]["code"], "unsupported");
  EXPECT_EQ(test::run_graft("doctor --strict").exit, 2);  // without a model
  EXPECT_EQ(doctor("--map RMSNorm").exit, 2);
  EXPECT_EQ(doctor("--map RMSNorm=one").exit, 2);
  EXPECT_EQ(doctor("--dtype int3").exit, 2);
}

TEST_F(DoctorModel, WithoutAModelLooksAtTheMachine) {
  EXPECT_TRUE(says(test::run_graft("doctor"), "trusted root"));
}

TEST_F(DoctorModel, AsksAHubForTheConfigurationAlone) {
  fs::create_directories(hub_.path() / "models/org");
  fs::copy(kGolden / "tiny-llama", hub_.path() / "models/org/tiny-llama", fs::copy_options::recursive);
  std::mutex mutex;
  std::string requests;
  HubServer server({.root = hub_.path(), .log = [&](const std::string& line) {
                      const std::lock_guard lock(mutex);
                      requests += line + "\n";
                    }});
  test::TempFolder cache;
  const test::ScopedEnv endpoint("HF_ENDPOINT", server.endpoint().c_str()),
      folder("HF_HUB_CACHE", cache.path().c_str());
  const Result done = test::run_graft("doctor org/tiny-llama --revision main --device cpu --strict");
  EXPECT_EQ(done.exit, 0) << done.out;
  EXPECT_EQ(server.counters().resolve, 1u) << requests;
  EXPECT_NE(requests.find("config.json"), std::string::npos) << requests;
  EXPECT_EQ(requests.find("safetensors"), std::string::npos) << requests;
  EXPECT_EQ(test::run_graft("doctor org/tiny-llama --device cpu").exit, 0);
  EXPECT_EQ(server.counters().resolve, 1u) << "cached";
  EXPECT_EQ(test::run_graft("doctor org/tiny-llama --revision no-such-branch").exit, 1);
  EXPECT_EQ(test::run_graft("doctor org/no-such-model").exit, 1);

  ASSERT_EQ(test::run_graft("download org/tiny-llama --repo-type model").exit, 0);
  server.stop();
  const Result cached = test::run_graft("doctor org/tiny-llama --device cpu");
  EXPECT_EQ(cached.exit, 0) << cached.out;
  EXPECT_TRUE(says(cached, "note: model org/tiny-llama is from the cache")) << cached.out;
}

TEST_F(DoctorModel, OfA70BModelTakesNoMemoryToSpeakOf) {
  const json config = {{"model_type", "llama"},    {"vocab_size", 128256},       {"hidden_size", 8192},
                       {"num_hidden_layers", 80},  {"intermediate_size", 28672}, {"num_attention_heads", 64},
                       {"num_key_value_heads", 8}, {"torch_dtype", "bfloat16"}};
  test::write_file(config_alone() + "/config.json", config.dump());
  const fs::path out = folder_.path() / "out";
  const pid_t child = fork();
  if (child == 0) {
    if (freopen(out.c_str(), "w", stdout) == nullptr) _exit(99);
    execl(GRAFT_PROGRAM, "graft", "doctor", config_alone().c_str(), "--device", "cpu", "--strict", nullptr);
    _exit(99);
  }
  int status = 0;
  rusage usage{};
  ASSERT_EQ(wait4(child, &status, 0, &usage), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << test::read_file(out);
  EXPECT_NE(test::read_file(out).find("1283 of 1364 layers would be bound"), std::string::npos);
  EXPECT_LT(usage.ru_maxrss, 1 << 20) << "KiB; the weights would be 131 GiB";
}

/// tiny-llama with a tokenizer, so that it runs.
fs::path tiny_model(const fs::path& model) {
  fs::copy(kGolden / "tiny-llama", model);
  test::write_file(model / "tokenizer.json",
                   R"({"model": {"type": "BPE", "vocab": {"h": 0, "i": 1, "hi": 2}, "merges": ["h i"]},
                       "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel",
                       "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
                       "post_processor": null, "decoder": {"type": "ByteLevel"}})");
  return model;
}

TEST_F(DoctorModel, RunWritesAPageOfItsLayers) {
  const fs::path model = tiny_model(folder_.path() / "model"), page = folder_.path() / "report.html";
  const std::string run = "run " + model.string() + " --prompt hi --max-new-tokens 2 --device cpu --json --report ";
  const Result done = test::run_graft(run + page.string());
  ASSERT_EQ(done.exit, 0) << done.out;
  const json layer = json::parse(done.out)["layers"].at(0);
  EXPECT_EQ(layer["license"], "Apache-2.0");
  const std::string text = test::read_file(page);
  EXPECT_EQ(text.find("<!DOCTYPE html>"), 0u);
  for (const char* word : {"graft-kernels/norm:RMSNorm", "Apache-2.0", " by the kernel, ", "<code>lm_head</code>"})
    EXPECT_NE(text.find(word), std::string::npos) << word;
  const Result missing = test::run_graft(run + (folder_.path() / "no/such/page.html").string());
  EXPECT_EQ(missing.exit, 1);
  EXPECT_TRUE(says(missing, "its folder does not exist")) << missing.out;
}

TEST_F(DoctorModel, RunAttendsOverPages) {
  const std::string run = "run " + tiny_model(folder_.path() / "model").string() +
                          " --prompt hi --max-new-tokens 3 --device cpu --json --kernels strict ";
  const Result dense = test::run_graft(run), paged = test::run_graft(run + "--attn-implementation 'paged|graft-kernels/attention'");
  ASSERT_EQ(paged.exit, 0) << paged.out;
  const json report = json::parse(paged.out);
  EXPECT_EQ(report["output_ids"], json::parse(dense.out)["output_ids"]);
  int bound = 0;
  for (const json& layer : report["layers"]) bound += layer["entry"] == "PagedAttention" && layer["state"] == "bound";
  EXPECT_EQ(bound, 2);
}

TEST_F(DoctorModel, RunShowsWhatWasFoundFaster) {
  const std::string run = "run " + tiny_model(folder_.path() / "model").string() + " --prompt hi --max-new-tokens 24 --device cpu ";
  const Result done = test::run_graft(run + "--kernel-policy fastest --json");
  ASSERT_EQ(done.exit, 0) << done.out;
  int timed = 0;
  const json report = json::parse(done.out);
  for (const json& layer : report["layers"]) timed += layer.contains("timings");
  EXPECT_GT(timed, 0) << done.out;
  EXPECT_TRUE(says(test::run_graft(run + "--kernel-policy fastest"), " beside "));
  EXPECT_FALSE(says(test::run_graft(run), " beside "));
}

TEST_F(DoctorModel, RunStrictFailsForTheSameReasons) {
  const fs::path model = tiny_model(folder_.path() / "model");
  const std::string strict =
      "run " + model.string() + " --prompt hi --max-new-tokens 1 --device cpu --json --kernels strict ";
  const Result whole = test::run_graft(strict);
  EXPECT_EQ(whole.exit, 0) << whole.out;
  EXPECT_EQ(test::run_graft(strict + "--map SiLU=graft-kernels/mlp:NoSuchEntry").exit, 1);
  const Result misspelt = test::run_graft(strict + "--map RMSnorm=graft-kernels/norm:RMSNorm");
  EXPECT_EQ(misspelt.exit, 1);
  EXPECT_EQ(json::parse(misspelt.out)["warnings"].size(), 1u) << misspelt.out;
}

}  // namespace
}  // namespace graft
