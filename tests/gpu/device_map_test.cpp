// device_map on machines with GPUs: weights arrive there as they are, and a model that lies on several devices answers as on one.
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include "gpu.h"
#include "model_folder.h"
#include "placement.h"
#include "weights.h"

namespace graft {
namespace {

using testing::kGpu;
using testing::kLong;
using testing::Model;
using testing::prompt;

using GpuDeviceMap = testing::Gpu;

const DeviceMap kHalf = {{"", "cuda:0"}, {"model.embed_tokens", "cpu"}, {"model.layers.0", "cpu"}};
const DeviceMap kTurns = {{"model.embed_tokens", "cuda"}, {"model.layers.0", "cpu"}, {"model.layers.1", "cuda:0"},
                          {"model.layers.2", "cpu"},      {"model.norm", "cuda"},    {"lm_head", "cpu"}};

at::Tensor padded(int64_t batch, int64_t tokens) {
  at::Tensor mask = at::ones({batch, tokens}, at::kLong);
  for (int64_t row = 1; row < batch; ++row) mask[row].narrow(0, 0, row).zero_();
  return mask;
}

void expect_like(const LayerReport& layer, const LayerReport& other) {
  EXPECT_EQ(layer.state, other.state) << layer.module << " " << layer.layer << ": " << layer.reason << "; there: " << other.reason;
  EXPECT_EQ(layer.variant, other.variant) << layer.module << " " << layer.layer;
}

double file_pages_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key; status.ignore(256, '\n')) {
    double kib;
    if (key == "RssFile:" && status >> kib) return kib / 1024;
  }
  throw std::runtime_error("/proc/self/status has no RssFile");
}

/// A checkpoint of one float32 tensor "w", whose data begins `shift` bytes further than aligned.
class OneTensor {
 public:
  explicit OneTensor(const at::Tensor& values, size_t shift = 0)
      : folder_(std::filesystem::temp_directory_path() / ("graft-gpu-" + std::to_string(getpid()) + "-one")) {
    std::string header = R"({"w":{"dtype":"F32","shape":[)" + std::to_string(values.size(0)) + "," + std::to_string(values.size(1)) +
                         R"(],"data_offsets":[0,)" + std::to_string(values.nbytes()) + "]}}";
    header.resize((header.size() + 7) / 8 * 8 + shift, ' ');
    std::filesystem::create_directories(folder_);
    std::ofstream file(folder_ / kSingleFile, std::ios::binary);
    const uint64_t length = header.size();
    file.write(reinterpret_cast<const char*>(&length), sizeof length) << header;
    file.write(static_cast<const char*>(values.const_data_ptr()), std::streamsize(values.nbytes()));
  }
  ~OneTensor() { std::filesystem::remove_all(folder_); }

  Weights on(c10::Device device, at::ScalarType dtype) const {
    Weights weights(open_checkpoint(folder_, SafetensorsFile::Access::copy_on_write), dtype);
    weights.place({{"", device}});
    return weights;
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(GpuDeviceMap, AModelOnCpuAndGpuGivesTheTokensOfEither) {
  for (const bool tied : {true, false}) {
    for (const std::string type : {"llama", "qwen3"}) {
      const Model model(type, {{"tie_word_embeddings", tied}});
      const auto gpu = model.open(false), cpu = model.open(false, "float32", "cpu");
      const at::Tensor ids = prompt(2, 19), expected = cpu->generate(ids, kLong);
      EXPECT_TRUE(gpu->generate(ids, kLong).cpu().equal(expected));
      GenerateOptions with_padding = kLong;
      with_padding.attention_mask = padded(2, 19);
      const at::Tensor expected_padded = cpu->generate(ids, with_padding);
      for (const DeviceMap& map : {kHalf, kTurns}) {
        for (const bool kernels : {false, true}) {
          const auto split = model.open(kernels, "float32", map);
          EXPECT_TRUE(split->generate(ids, kLong).cpu().equal(expected)) << type << " tied " << tied << " kernels " << kernels;
          EXPECT_TRUE(split->generate(ids, with_padding).cpu().equal(expected_padded)) << type << " padded, tied " << tied << " kernels " << kernels;
        }
      }
    }
  }
}

TEST_F(GpuDeviceMap, EachLayerHasTheKernelOfItsOwnDevice) {
  const Model model("qwen3");
  const auto split = model.open(true, "float32", kHalf), gpu = model.open(true), cpu = model.open(true, "float32", "cpu");
  split->generate(prompt(1, 9), kLong);
  const BindReport report = split->kernel_report(), of_gpu = gpu->kernel_report(), of_cpu = cpu->kernel_report();
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const LayerReport& layer = report.layers[i];
    const bool on_cpu = layer.module == "lm_head" || layer.module == "loss_function" || layer.module == "sampler" || layer.module.starts_with("model.layers.0");
    expect_like(layer, (on_cpu ? of_cpu : of_gpu).layers[i]);
  }
}

TEST_F(GpuDeviceMap, DecodeSaysThatItRunsWithoutAGraph) {
  const Model model("llama");
  const auto split = model.open(true, "float32", kHalf);
  split->generate(prompt(1, 9), kLong);
  const BindReport report = split->kernel_report();
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("its layers are on several devices"), std::string::npos) << report.warnings[0];
}

TEST_F(GpuDeviceMap, PagesLieWhereTheirLayersDo) {
  const Model model("llama");
  const auto split = model.open(false, "float32", kTurns), cpu = model.open(false, "float32", "cpu");
  split->set_attn_implementation("paged|sdpa");
  GenerateOptions options = kLong;
  options.attention_mask = padded(3, 19);
  EXPECT_TRUE(split->generate(prompt(3, 19), options).cpu().equal(cpu->generate(prompt(3, 19), options)));
}

TEST_F(GpuDeviceMap, GradientsComeToEachWeightsDevice) {
  const Model model("llama", {{"tie_word_embeddings", false}});
  const auto split = model.open(false, "float32", kTurns), cpu = model.open(false, "float32", "cpu");
  const at::Tensor ids = prompt(2, 19);
  for (PreTrainedModel* each : {split.get(), cpu.get()}) {
    each->train();
    each->gradient_checkpointing_enable(each == split.get());
    each->forward(ids, {.labels = ids}).loss.backward();
  }
  const auto expected = cpu->named_parameters();
  for (const auto& parameter : split->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_EQ(parameter.value().grad().device(), parameter.value().device());
    const at::Tensor& other = expected[parameter.key()].grad();
    EXPECT_LE((parameter.value().grad().cpu() - other).abs().max().item<double>(), 1e-3 * other.abs().max().item<double>()) << parameter.key();
  }
}

TEST_F(GpuDeviceMap, AutoPutsAModelThatFitsOnTheFirstGpu) {
  const Model model("llama");
  const auto automatic = model.open(true, "float32", "auto"), cuda = model.open(true);
  for (const at::Tensor& parameter : automatic->parameters()) EXPECT_EQ(parameter.device(), kGpu);
  EXPECT_TRUE(automatic->generate(prompt(1, 9), kLong).equal(cuda->generate(prompt(1, 9), kLong)));
  EXPECT_TRUE(automatic->kernel_report().warnings.empty());
}

TEST_F(GpuDeviceMap, AutoCountsTheMemoryThatIsFree) {
  const std::vector<ModelPart> huge = {{"model.embed_tokens", int64_t(1) << 20}, {"model.layers.0", int64_t(1) << 50}};
  const ModuleDevices devices = auto_devices(huge);
  EXPECT_EQ(devices.at("model.embed_tokens"), kGpu);
  EXPECT_EQ(devices.at("model.layers.0"), c10::Device(c10::kCPU));
}

TEST_F(GpuDeviceMap, WeightsArriveAsTheyWouldBeOnTheCpu) {
  const at::Tensor values = at::randn({4099, 5003});  // more than a piece
  for (const size_t shift : {0u, 3u}) {
    const OneTensor file(values, shift);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
      const at::Tensor weight = file.on(kGpu, dtype).take("w", values.sizes());
      EXPECT_EQ(weight.device(), kGpu);
      EXPECT_TRUE(at::equal(weight.cpu(), values.to(dtype))) << dtype << " shifted by " << shift;
    }
  }
}

TEST_F(GpuDeviceMap, WeightsLeaveNothingInTheHostsMemory) {
  const OneTensor file(at::randn({1 << 13, 1 << 12}));  // 128 MiB
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Weights weights = file.on(kGpu, dtype);
    weights.take("w", {1 << 13, 1 << 12});  // runs code for the first time, whose pages count too
    const double before = file_pages_mib();
    const at::Tensor weight = weights.take("w", {1 << 13, 1 << 12});
    EXPECT_LT(file_pages_mib() - before, 2) << dtype;
  }
}

/// With two GPUs.
class TwoGpus : public testing::Gpu {
 protected:
  void SetUp() override {
    Gpu::SetUp();
    if (!IsSkipped() && open_cuda() < 2) GTEST_SKIP() << "there is one GPU alone";
  }
};

TEST_F(TwoGpus, AModelOnBothGivesTheTokensOfOne) {
  const DeviceMap both = {{"model.embed_tokens", "cuda:0"}, {"model.layers.0", "cuda:0"}, {"model.layers", "cuda:1"}, {"model.norm", "cuda:1"}, {"lm_head", "cuda:1"}};
  for (const bool tied : {true, false}) {
    for (const std::string type : {"llama", "qwen3"}) {
      const Model model(type, {{"tie_word_embeddings", tied}});
      const at::Tensor ids = prompt(2, 19), expected = model.open(false)->generate(ids, kLong);
      for (const bool kernels : {false, true}) {
        EXPECT_TRUE(model.open(kernels, "float32", both)->generate(ids, kLong).equal(expected)) << type << " tied " << tied << " kernels " << kernels;
        EXPECT_TRUE(model.open(kernels, "float32", "cuda:1")->generate(ids, kLong).cpu().equal(expected.cpu())) << type << " on cuda:1, kernels " << kernels;
      }
    }
  }
}

TEST_F(TwoGpus, EachLayerIsBoundOnItsOwn) {
  const Model model("llama");
  const auto split = model.open(true, "float32", {{"", "cuda:0"}, {"model.layers.1", "cuda:1"}});
  split->generate(prompt(1, 9), kLong);
  const BindReport report = split->kernel_report(), of_one = model.open(true)->kernel_report();
  for (size_t i = 0; i < report.layers.size(); ++i) expect_like(report.layers[i], of_one.layers[i]);
}

}  // namespace
}  // namespace graft
