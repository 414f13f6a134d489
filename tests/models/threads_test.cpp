// A model that runs on many threads while another, and then it itself, is bound anew.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

#include "graft/auto_model.h"

namespace graft {
namespace {

constexpr int kThreads = 8;

std::shared_ptr<PreTrainedModel> load() {
  return AutoModelForCausalLM::from_pretrained(std::string(GRAFT_SOURCE_DIR) + "/tests/golden/tiny-llama", {.dtype = "float32"});
}

at::Tensor prompt(const PreTrainedModel& model) { return (at::arange(12, at::kLong).view({1, 12}) * 5 + 3).remainder(model.config().vocab_size); }

void rebind(PreTrainedModel& model, int round) {
  switch (round % 4) {
    case 0: model.kernelize(); break;
    case 1: model.kernelize({.kernel_config = KernelConfig({{"attention", ""}, {"RMSNorm", ""}})}); break;
    case 2: model.unkernelize(); break;
    case 3: model.kernelize({.mode = Mode::Inference}); break;
  }
}

/// Runs `model` on all threads while `other` runs on this one: the largest distance from what its own layers give.
double largest_error(PreTrainedModel& model, const std::function<void()>& other) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = prompt(model);
  model.unkernelize();
  const at::Tensor expected = model.forward(ids).logits;
  model.kernelize();
  std::atomic<bool> stop = false;
  std::vector<double> errors(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const at::NoGradGuard no_grad_here;
      do {
        const double error = (model.forward(ids).logits - expected).abs().max().item<double>();
        errors[size_t(t)] = error <= errors[size_t(t)] ? errors[size_t(t)] : error;  // a NaN stays
      } while (!stop);
    });
  }
  other();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  double largest = 0;
  for (const double error : errors) largest = error <= largest ? largest : error;
  return largest / expected.abs().max().item<double>();
}

TEST(ModelThreads, AModelRunsWhileAnotherIsRebound) {
  const auto model = load(), other = load();
  EXPECT_LT(largest_error(*model,
                          [&] {
                            for (int round = 0; round < 20; ++round) rebind(*other, round);
                          }),
            1e-4);
  EXPECT_GT(model->kernel_report().count(LayerState::bound), 0);
  EXPECT_EQ(model->kernel_report().count(LayerState::fallback), 0) << model->kernel_report();
}

TEST(ModelThreads, AModelRunsWhileItIsReboundItself) {
  const auto model = load();
  EXPECT_LT(largest_error(*model,
                          [&] {
                            for (int round = 0; round < 40; ++round) rebind(*model, round);
                          }),
            1e-4);
  for (const LayerReport& layer : model->kernel_report().layers) EXPECT_EQ(layer.counters.errors, 0u) << layer.module;
}

TEST(ModelThreads, ReportsAreAskedForMeanwhile) {
  const auto model = load();
  int odd = 0;
  largest_error(*model, [&] {
    for (int round = 0; round < 20; ++round) {
      rebind(*model, round);
      const BindReport report = model->kernel_report();
      odd += report.layers.empty() || report.html().empty() || report.any_fallback();
    }
  });
  EXPECT_EQ(odd, 0);
}

}  // namespace
}  // namespace graft
