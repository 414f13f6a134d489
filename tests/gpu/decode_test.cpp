// generate() on a GPU: one kernel for a layer, a graph for a step, and the tokens of the layers' own forwards.
#include <ATen/ops/ones.h>
#include <c10/core/CachingDeviceAllocator.h>

#include "gpu.h"
#include "model_folder.h"

namespace graft {
namespace {

using testing::kLong;
using testing::Model;
using testing::prompt;

class CudaDecode : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string why = testing::why_no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }
};

void expect_graph(PreTrainedModel& model) {
  const BindReport report = model.kernel_report();
  for (const std::string& warning : report.warnings) ADD_FAILURE() << warning;
  for (const LayerReport& layer : report.layers)
    if (layer.layer == "DecoderLayer" || layer.layer == "Sampling") { EXPECT_EQ(layer.state, LayerState::bound) << layer.reason; }
}

TEST_P(CudaDecode, GivesTheTokensOfTheLayersOwnForwards) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  for (const int64_t batch : {1, 2, 3, 8}) {
    const at::Tensor ids = prompt(batch, 19);
    EXPECT_TRUE(kernels->generate(ids, kLong).equal(own->generate(ids, kLong))) << "batch " << batch;
    expect_graph(*kernels);
  }
}

TEST_P(CudaDecode, ReplaysItsGraphForLaterPrompts) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  for (const int64_t tokens : {19, 5, 150, 300, 30}) {
    const at::Tensor ids = prompt(1, tokens);
    EXPECT_TRUE(kernels->generate(ids, kLong).equal(own->generate(ids, kLong))) << tokens << " tokens";
  }
  expect_graph(*kernels);
}

TEST_P(CudaDecode, ChoosesLikelyTokensIn16Bits) {
  const Model model(GetParam());
  const auto own = model.open(false);
  for (const std::string dtype : {"bfloat16", "float16"}) {
    const auto kernels = model.open(true, dtype);
    for (const int64_t batch : {1, 8}) {
      const at::Tensor ids = kernels->generate(prompt(batch, 19), kLong);
      const at::NoGradGuard no_grad;
      const at::Tensor logits = own->forward(ids).logits.narrow(1, 18, 40), chosen = ids.narrow(1, 19, 40);
      const at::Tensor below = logits.amax(-1) - logits.gather(-1, chosen.unsqueeze(-1)).squeeze(-1);
      EXPECT_LE(below.max().item<double>(), 0.05 * logits.abs().max().item<double>()) << dtype << " batch " << batch;
      expect_graph(*kernels);
    }
  }
}

TEST_P(CudaDecode, DrawsWhatTheCpuDraws) {
  const Model model(GetParam());
  const auto kernels = model.open(true), cpu = model.open(false, "float32", "cpu");
  for (GenerateOptions options : {GenerateOptions{.temperature = 0.8}, {.top_k = 20}, {.top_p = 0.9}, {.temperature = 1.2, .top_k = 50, .top_p = 0.8}}) {
    options.max_new_tokens = 12, options.do_sample = true, options.seed = 5, options.eos_token_id = std::vector<int64_t>{};
    const at::Tensor ids = prompt(2, 9);
    EXPECT_TRUE(kernels->generate(ids, options).cpu().equal(cpu->generate(ids, options)));
    expect_graph(*kernels);
  }
}

TEST_P(CudaDecode, EndsRowsAndTellsTheStreamer) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  const at::Tensor ids = prompt(2, 9), free = own->generate(ids, kLong);
  GenerateOptions options = {.max_new_tokens = 40, .eos_token_id = std::vector<int64_t>{free[0][14].item<int64_t>()}, .pad_token_id = 0};
  std::vector<int64_t> streamed[2];
  at::Tensor answers[2];
  for (int i = 0; i < 2; ++i) {
    options.streamer = [&](std::span<const int64_t> tokens) { return streamed[i].insert(streamed[i].end(), tokens.begin(), tokens.end()), streamed[i].size() < 60; };
    answers[i] = (i == 0 ? own : kernels)->generate(ids, options);
  }
  EXPECT_TRUE(answers[1].equal(answers[0]));
  EXPECT_EQ(streamed[1], streamed[0]);
}

TEST_P(CudaDecode, TakesMoreRowsThanItsKernelsTakeAtOnce) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  for (const int64_t rows : {9, 16, 31, 64}) {
    const at::Tensor ids = prompt(rows, 7);
    EXPECT_TRUE(kernels->generate(ids, kLong).equal(own->generate(ids, kLong))) << rows;
    expect_graph(*kernels);
  }
}

TEST_P(CudaDecode, LeavesPaddingOut) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  for (const bool gap : {false, true}) {
    at::Tensor mask = at::ones({3, 11}, at::kLong);
    mask[1].narrow(0, 0, 4).zero_();
    mask[2].narrow(0, gap ? 5 : 0, 1).zero_();
    GenerateOptions padded = kLong;
    padded.attention_mask = mask;
    for (int again = 0; again < 2; ++again) {  // the second one by the first one's graph
      EXPECT_TRUE(kernels->generate(prompt(3, 11), padded).equal(own->generate(prompt(3, 11), padded))) << gap;
      expect_graph(*kernels);
    }
  }
}

TEST_P(CudaDecode, GivesItsCachesBackForTraining) {
  const Model model(GetParam());
  const auto kernels = model.open(true);
  auto* allocator = c10::getDeviceAllocator(c10::kCUDA);
  const auto used = [&] { return allocator->getDeviceStats(0).allocated_bytes[0].current; };
  kernels->generate(prompt(8, 7), kLong);
  const auto before = used();
  kernels->train();
  EXPECT_LT(used(), before);
  kernels->eval();
  kernels->generate(prompt(8, 7), kLong);
  expect_graph(*kernels);
}

TEST_P(CudaDecode, SaysWhyItRunsWithoutAGraph) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  const auto warnings = [&] {
    std::string all;
    for (const std::string& warning : kernels->kernel_report().warnings) all += warning + "\n";
    return all;
  };
  EXPECT_TRUE(kernels->generate(prompt(65, 7), kLong).equal(own->generate(prompt(65, 7), kLong)));
  EXPECT_NE(warnings().find("does not serve it"), std::string::npos) << warnings();
  kernels->generate(prompt(1, 7), kLong);
  EXPECT_EQ(warnings(), "");
}

TEST_P(CudaDecode, ForgetsGraphsOfKernelsThatWereUnbound) {
  const Model model(GetParam());
  const auto own = model.open(false), kernels = model.open(true);
  const at::Tensor ids = prompt(1, 9), expected = own->generate(ids, kLong);
  EXPECT_TRUE(kernels->generate(ids, kLong).equal(expected));
  kernels->unkernelize();
  EXPECT_TRUE(kernels->generate(ids, kLong).equal(expected));
  kernels->kernelize();
  {
    const at::NoGradGuard no_grad;  // weights in place: the graph reads them
    for (PreTrainedModel* each : {own.get(), kernels.get()})
      for (at::Tensor& parameter : each->parameters()) parameter.mul_(0.9);
  }
  EXPECT_TRUE(kernels->generate(ids, kLong).equal(own->generate(ids, kLong)));
}

INSTANTIATE_TEST_SUITE_P(Models, CudaDecode, ::testing::Values("llama", "qwen3"), [](const auto& info) { return info.param; });

using CudaWindow = testing::Gpu;

TEST_F(CudaWindow, HidesKeysBeforeIt) {
  const Model model("qwen3", {{"use_sliding_window", true}, {"sliding_window", 16}, {"max_window_layers", 1}});
  const auto own = model.open(false), kernels = model.open(true);
  EXPECT_TRUE(kernels->generate(prompt(2, 25), kLong).equal(own->generate(prompt(2, 25), kLong)));
  expect_graph(*kernels);
}

/// Each is the first to use torch where it is the only one of its process, as ctest runs them: nothing asks for a GPU before.
class CudaOpens : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_driver_present()) GTEST_SKIP() << "there is no NVIDIA driver with a device";
  }
  void answer_alike(const std::string& first, const std::string& second) {
    const Model model("llama");
    const at::Tensor one = model.open(true, "float32", first)->generate(prompt(1, 9), kLong);
    EXPECT_TRUE(model.open(true, "float32", second)->generate(prompt(1, 9), kLong).cpu().equal(one.cpu()));
  }
};

TEST_F(CudaOpens, AfterAModelOnTheCpu) { answer_alike("cpu", "cuda"); }
TEST_F(CudaOpens, BeforeAModelOnTheCpu) { answer_alike("cuda", "cpu"); }

}  // namespace
}  // namespace graft
