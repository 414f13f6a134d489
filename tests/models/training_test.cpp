// A model learns the same through kernels as through its own layers.
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "golden.h"
#include "graft/auto_model.h"

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
    const LayerState expected = layer.layer == "paged_attention" ? LayerState::own : LayerState::bound;
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

INSTANTIATE_TEST_SUITE_P(TinyModels, Training, ::testing::Values("tiny-llama", "tiny-qwen3"), [](const auto& info) { return info.index == 0 ? "llama" : "qwen3"; });

}  // namespace
}  // namespace graft
