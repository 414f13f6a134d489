// A model learns the same through kernels as through its own layers.
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(GRAFT_SOURCE_DIR) / "tests/golden";

std::shared_ptr<PreTrainedModel> load(const std::string& name) {
  auto model = AutoModelForCausalLM::from_pretrained((kModels / name).string(), {.dtype = "float32"});
  model->train();
  return model;
}

/// A text that repeats itself, so that there is something to learn.
at::Tensor text(const PreTrainedModel& model) {
  at::Tensor ids = at::arange(48, at::kLong).remainder(7).view({2, 24}) + 3;
  return ids.remainder(model.config().vocab_size);
}

double loss_of(PreTrainedModel& model, const at::Tensor& ids) { return model.forward(ids, {.labels = ids}).loss.item<double>(); }

class Training : public ::testing::TestWithParam<std::string> {};

/// All but what generate() alone asks for, and only by name.
void expect_bound(const BindReport& report) {
  for (const LayerReport& layer : report.layers) {
    const bool left_alone = testing::waits_to_be_named(layer) || layer.layer == "DecoderLayer";  // which has no backward
    const LayerState expected = left_alone ? LayerState::own : LayerState::bound;
    EXPECT_EQ(layer.state, expected) << layer.layer << " " << layer.reason;
  }
}

TEST_P(Training, BindsKernelsThatHaveABackward) {
  auto model = load(GetParam());
  expect_bound(model->kernelize());
}

TEST_P(Training, GivesTheOwnLayersGradients) {
  auto own = load(GetParam()), with_kernels = load(GetParam());
  with_kernels->kernelize();
  const at::Tensor ids = text(*own);
  const at::Tensor expected = own->forward(ids, {.labels = ids}).loss, loss = with_kernels->forward(ids, {.labels = ids}).loss;
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-4);
  expected.backward();
  loss.backward();
  for (const auto& parameter : own->named_parameters()) {
    const at::Tensor gradient = with_kernels->named_parameters()[parameter.key()].grad();
    ASSERT_EQ(parameter.value().grad().defined(), gradient.defined()) << parameter.key();
    if (!gradient.defined()) continue;
    const double scale = parameter.value().grad().abs().max().item<double>();
    EXPECT_LE((gradient - parameter.value().grad()).abs().max().item<double>(), 1e-3 * scale + 1e-7) << parameter.key();
  }
}

TEST_P(Training, FollowsTheOwnLayersLossCurve) {
  auto own = load(GetParam()), with_kernels = load(GetParam());
  with_kernels->kernelize();
  const at::Tensor ids = text(*own);
  const double first = loss_of(*own, ids);
  for (int step = 0; step < 12; ++step) {
    double losses[2];
    int i = 0;
    for (PreTrainedModel* model : {own.get(), with_kernels.get()}) {
      model->zero_grad();
      const at::Tensor loss = model->forward(ids, {.labels = ids}).loss;
      loss.backward();
      losses[i++] = loss.item<double>();
      const at::NoGradGuard no_grad;
      for (at::Tensor& parameter : model->parameters())
        if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 0.05);
    }
    EXPECT_NEAR(losses[0], losses[1], 1e-3) << "step " << step;
  }
  EXPECT_LT(loss_of(*with_kernels, ids), first);
  expect_bound(with_kernels->kernel_report());
}

TEST_P(Training, InfersAfterwardsWithTheWeightsThatWereLearned) {
  auto model = load(GetParam());
  model->kernelize();
  const at::Tensor ids = text(*model);
  model->forward(ids, {.labels = ids}).loss.backward();
  {
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : model->parameters())
      if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 0.05);
  }
  model->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor logits = model->forward(ids).logits;
  model->unkernelize();
  EXPECT_TRUE(at::allclose(logits, model->forward(ids).logits, 1e-3, 1e-3));
}

/// Labels with gaps: of a row's first tokens, of the last one, and of a whole row.
at::Tensor with_ignored(const at::Tensor& ids) {
  at::Tensor labels = ids.clone();
  labels.narrow(1, 0, 5).fill_(-100);
  labels.narrow(1, labels.size(1) - 1, 1).fill_(-100);
  labels.narrow(0, 1, 1).fill_(-100);
  return labels;
}

/// The bytes of torch's largest tensor made on this thread while it lives.
class LargestTensor : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override { largest_ = std::max(largest_, size); }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t bytes() const { return largest_; }

 private:
  int64_t largest_ = 0;
};

TEST_P(Training, HasALossThatSharesLmHeadsWeight) {
  auto model = load(GetParam());
  for (const auto& parameter : model->named_parameters()) EXPECT_EQ(parameter.key().find("loss"), std::string::npos) << parameter.key();
  const auto& layers = model->kernelize().layers;
  const auto loss = std::find_if(layers.begin(), layers.end(), [](const LayerReport& layer) { return layer.layer == "ForCausalLMLoss"; });
  ASSERT_NE(loss, layers.end());
  EXPECT_EQ(loss->module, "loss_function");
  EXPECT_EQ(loss->reference, "graft-kernels/loss:ForCausalLMLoss");
}

TEST_P(Training, LeavesLogitsAwayWhereItTrainsUnlessTheyAreAskedFor) {
  auto model = load(GetParam());
  const at::Tensor ids = text(*model);
  for (const bool kernels : {false, true}) {
    if (kernels) model->kernelize();
    EXPECT_FALSE(model->forward(ids, {.labels = ids}).logits.defined());
    EXPECT_TRUE(model->forward(ids, {.labels = ids, .skip_logits = false}).logits.defined());
    EXPECT_TRUE(model->forward(ids).logits.defined());
  }
  model->eval();
  EXPECT_TRUE(model->forward(ids, {.labels = ids}).logits.defined());
  EXPECT_FALSE(model->forward(ids, {.labels = ids, .skip_logits = true}).logits.defined());
}

TEST_P(Training, GivesOneLossWithAndWithoutLogitsKernelsAndIgnoredLabels) {
  auto model = load(GetParam());
  const at::Tensor ids = text(*model);
  for (const at::Tensor& labels : {ids, with_ignored(ids)}) {
    model->unkernelize();
    const double expected = model->forward(ids, {.labels = labels, .skip_logits = false}).loss.item<double>();
    EXPECT_NEAR(model->forward(ids, {.labels = labels}).loss.item<double>(), expected, 1e-5);
    model->kernelize();
    EXPECT_NEAR(model->forward(ids, {.labels = labels}).loss.item<double>(), expected, 1e-4);
  }
  EXPECT_TRUE(std::isnan(model->forward(ids, {.labels = at::full_like(ids, -100)}).loss.item<double>()));
}

TEST_P(Training, NeverHoldsAllLogitsWithAKernelForTheLoss) {
  auto model = load(GetParam());
  const at::Tensor ids = text(*model).repeat({8, 5});  // 1,920 rows: their logits are the largest tensor by far
  const int64_t logits = ids.numel() * model->config().vocab_size * int64_t(sizeof(float));
  const auto largest = [&] {
    const auto seen = std::make_shared<LargestTensor>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, seen);
    model->forward(ids, {.labels = ids}).loss.backward();
    return seen->bytes();
  };
  EXPECT_GE(largest(), logits);  // its own forward does
  model->kernelize();
  EXPECT_LT(largest(), logits);
}

TEST_P(Training, RefusesLabelsThatDoNotFit) {
  auto model = load(GetParam());
  const at::Tensor ids = text(*model);
  const auto refused = [&](const ForwardOptions& options) {
    try {
      model->forward(ids, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_EQ(error.failed(), "labels");
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refused({.labels = at::full_like(ids, model->config().vocab_size)}));
  EXPECT_TRUE(refused({.labels = at::full_like(ids, -1)}));
  EXPECT_TRUE(refused({.labels = ids.narrow(1, 0, 3)}));
  EXPECT_TRUE(refused({.labels = ids.to(at::kInt)}));
  EXPECT_TRUE(refused({.labels = ids, .logits_to_keep = 1}));
  EXPECT_TRUE(refused({.skip_logits = true}));
  EXPECT_FALSE(refused({.labels = ids}));
}

TEST_P(Training, GivesTheSameGradientsWhereActivationsAreComputedAgain) {
  auto kept = load(GetParam()), again = load(GetParam());
  again->gradient_checkpointing_enable();
  const at::Tensor ids = text(*kept);
  for (const bool kernels : {false, true}) {
    for (PreTrainedModel* model : {kept.get(), again.get()}) {
      if (kernels) model->kernelize();
      model->zero_grad();
      model->forward(ids, {.labels = ids}).loss.backward();
    }
    for (const auto& parameter : kept->named_parameters()) {
      const at::Tensor gradient = again->named_parameters()[parameter.key()].grad();
      ASSERT_TRUE(gradient.defined()) << parameter.key();
      EXPECT_TRUE(at::allclose(gradient, parameter.value().grad(), 1e-4, 1e-6)) << parameter.key();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(TinyModels, Training, ::testing::Values("tiny-llama", "tiny-qwen3"), [](const auto& info) { return info.index == 0 ? "llama" : "qwen3"; });

}  // namespace
}  // namespace graft
