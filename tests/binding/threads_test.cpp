// Models that run on many threads while others, and they themselves, are bound anew.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>
#include <torch/nn/cloneable.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "graft/events.h"
#include "graft/kernel_mapping.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::fixture_config;
using test::NormLayer;

constexpr int kThreads = 8;
const char* const kDoubles = "good_v2";   // gives twice the layer's own result, so that it is seen which of them ran
const char* const kTriples = "good_v3";

/// Three layers side by side: of each the result tells whether its kernel ran.
struct Block : torch::nn::Module {
  Block() {
    for (int i = 0; i < 3; ++i) layers.push_back(register_module("norm" + std::to_string(i), std::make_shared<Norm>()));
    eval();
  }
  struct Norm : torch::nn::Module {
    at::Tensor forward(const at::Tensor& x) const { return slot({x}, [&] { return own(x); }); }
    at::Tensor own(const at::Tensor& x) const { return at::rms_norm(x, {8}, weight, 1e-6); }
    at::Tensor weight = register_parameter("weight", at::ones({8}) * 2, /*requires_grad=*/false);
    KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
  };
  std::vector<std::shared_ptr<Norm>> layers;
};

/// How often what the layer gives is the own result; -1 if it is none of `allowed` times that.
int factor(const at::Tensor& result, const at::Tensor& own, std::initializer_list<int> allowed) {
  for (const int times : allowed) {
    if (at::allclose(result, own * times, 1e-5, 1e-6)) return times;
  }
  return -1;
}

/// `work` on kThreads threads, again and again until `other` has run on this one.
void meanwhile(const std::function<void()>& work, const std::function<void()>& other) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const at::NoGradGuard no_grad;
      do work();
      while (!stop);
    });
  }
  other();
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

/// A round of all that can be done to a model while it runs.
void rebind(torch::nn::Module& module, int round) {
  switch (round % 4) {
    case 0: kernelize(module, {.kernel_config = fixture_config(kDoubles)}); break;
    case 1: kernelize(module, {.mode = Mode::Inference, .kernel_config = fixture_config(kTriples)}); break;
    case 2: kernelize(module, {.kernel_config = KernelConfig({{"RMSNorm", ""}})}); break;
    case 3: unkernelize(module); break;
  }
}

TEST(Threads, AModelRunsItsKernelsWhileAnotherIsRebound) {
  Block model, other;
  kernelize(model, {.kernel_config = fixture_config(kDoubles)});
  const at::Tensor x = at::randn({4, 8}), own = model.layers[0]->own(x);
  std::atomic<int> wrong = 0;
  meanwhile(
      [&] {
        for (const auto& layer : model.layers) wrong += factor(layer->forward(x), own, {2}) != 2;
      },
      [&] {
        for (int round = 0; round < 100; ++round) rebind(other, round);
      });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, AModelRunsWhileItIsReboundItself) {
  Block model;
  const at::Tensor x = at::randn({4, 8}), own = model.layers[0]->own(x);
  std::atomic<int> wrong = 0;
  std::array<std::atomic<int>, 4> seen{};
  meanwhile(
      [&] {
        for (const auto& layer : model.layers) {
          const int times = factor(layer->forward(x), own, {1, 2, 3});
          times < 0 ? ++wrong : ++seen[size_t(times)];
        }
      },
      [&] {
        // Until each has been seen: on a busy machine the others may not come to run for a while.
        for (int round = 0; round < 100 || ((!seen[1] || !seen[2] || !seen[3]) && round < 100000); ++round) rebind(model, round);
      });
  EXPECT_EQ(wrong, 0);
  for (const int times : {1, 2, 3}) EXPECT_GT(seen[size_t(times)], 0) << times;
}

TEST(Threads, AModelIsTimedWhileItIsReboundItself) {
  Block model;
  const at::Tensor x = at::randn({4, 8}), other_shape = at::randn({1, 8}), own = model.layers[0]->own(x), own_of_other = model.layers[0]->own(other_shape);
  std::atomic<int> wrong = 0;
  std::atomic<bool> settled = false;
  meanwhile(
      [&] {
        for (const auto& layer : model.layers) {
          wrong += factor(layer->forward(x), own, {1, 2}) < 0;
          wrong += factor(layer->forward(other_shape), own_of_other, {1, 2}) < 0;
        }
      },
      [&] {
        for (int round = 0; round < 50 || (!settled && round < 100000); ++round) {
          const KernelPolicy policy = round % 5 == 4 ? KernelPolicy::always : KernelPolicy::fastest;
          kernelize(model, {.kernel_config = fixture_config(kDoubles), .kernel_policy = policy});
          for (int i = 0; i < 100; ++i) {
            for (const LayerReport& line : kernel_report(model).layers) settled = settled || !line.timings.empty();
          }
        }
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(settled);
}

TEST(Threads, ReportsAndEventsAreToldMeanwhile) {
  Block model;
  const at::Tensor x = at::randn({4, 8}), own = model.layers[0]->own(x);
  std::atomic<int> wrong = 0, calls = 0;
  std::atomic<bool> stop = false;
  std::thread asks([&] {
    while (!stop) {
      const BindReport report = kernel_report(model);
      wrong += report.layers.size() != 3 || report.any_fallback();
      wrong += report.json().empty() || report.html().empty() || report.table().empty();
    }
  });
  std::thread listens([&] {
    while (!stop) {
      const auto subscription = on_event(
          [&](const Event& event) {
            wrong += event.layer != "RMSNorm" || event.kind == Event::Kind::error || event.kind == Event::Kind::fallback;
            calls += event.kind == Event::Kind::call;
          },
          {.calls = true});
      std::this_thread::yield();
    }
  });
  meanwhile(
      [&] {
        for (const auto& layer : model.layers) wrong += factor(layer->forward(x), own, {1, 2, 3}) < 0;
      },
      [&] {
        for (int round = 0; round < 100 || (!calls && round < 100000); ++round) rebind(model, round);
      });
  stop = true;
  asks.join();
  listens.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(calls, 0);
}

/// Weights may change while no call is under way: all threads' next calls then find the kernel outdated at once.
TEST(Threads, WeightsThatChangeBetweenRoundsAreSeenByEveryThread) {
  constexpr int kRounds = 30;
  Block model;
  kernelize(model, {.kernel_config = fixture_config("training_prepacks", "RMSNorm"), .use_fallback = false});
  const at::Tensor x = at::randn({4, 8});
  at::Tensor expected = model.layers[0]->own(x);
  std::atomic<int> wrong = 0;
  std::barrier start(kThreads + 1), end(kThreads + 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const at::NoGradGuard no_grad;
      for (int round = 0; round < kRounds; ++round) {
        start.arrive_and_wait();
        for (int i = 0; i < 10; ++i) {
          for (const auto& layer : model.layers) wrong += !at::allclose(layer->forward(x), expected, 1e-4, 1e-5);
        }
        end.arrive_and_wait();
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& layer : model.layers) {
      if (round % 2 == 0) {
        layer->weight.fill_(round + 1);  // another version
      } else {
        layer->weight.set_data(at::ones({8}) * (round + 1));  // another storage
      }
    }
    expected = model.layers[0]->own(x);
    start.arrive_and_wait();
    // Bound anew while all of them find it out.
    kernelize(model, {.kernel_config = fixture_config(round % 3 == 0 ? "good" : "training_prepacks", round % 3 == 0 ? "TestRMSNorm" : "RMSNorm")});
    end.arrive_and_wait();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(kernel_report(model).count(LayerState::bound), 3);
}

TEST(Threads, EachBindsByItsOwnScopeWhileTheProcessesMappingChanges) {
  std::atomic<int> wrong = 0;
  std::atomic<bool> stop = false;
  std::thread registers([&] {
    for (int round = 0; !stop; ++round) register_kernel_mapping(fixture_config(round % 2 == 0 ? kDoubles : kTriples));
  });
  const at::Tensor x = at::randn({4, 8});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const at::NoGradGuard no_grad;
      const int mine = t % 2 == 0 ? 2 : 3;
      for (int round = 0; round < 20; ++round) {
        Block model;
        const at::Tensor own = model.layers[0]->own(x);
        {
          const auto scope = use_kernel_mapping(fixture_config(mine == 2 ? kDoubles : kTriples), {.inherit_mapping = round % 2 == 0});
          kernelize(model);
        }
        for (const auto& layer : model.layers) wrong += factor(layer->forward(x), own, {mine}) != mine;
        kernelize(model);  // by what the process has registered just now, or had at first
        for (const auto& layer : model.layers) wrong += factor(layer->forward(x), own, {1, 2, 3}) < 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  registers.join();
  register_kernel_mapping(KernelConfig::defaults(), {.inherit_mapping = false});
  EXPECT_EQ(wrong, 0);
}

struct CloneableNorm : torch::nn::Cloneable<CloneableNorm> {
  CloneableNorm() { reset(); }
  void reset() override { weight = register_parameter("weight", at::ones({8}) * 2, /*requires_grad=*/false); }
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] { return at::rms_norm(x, {8}, weight, 1e-6); });
  }
  at::Tensor weight;
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-6}}});
};

TEST(Threads, ModulesComeAreClonedAndGoOnEveryThread) {
  const auto original = std::make_shared<CloneableNorm>();
  original->eval();
  const at::Tensor x = at::randn({4, 8}), own = original->forward(x);
  kernelize(*original, {.kernel_config = fixture_config(kDoubles)});
  std::atomic<int> wrong = 0;
  meanwhile(
      [&] {
        const auto copy = std::dynamic_pointer_cast<CloneableNorm>(original->clone());
        copy->eval();
        wrong += factor(copy->forward(x), own, {1}) != 1;
        kernelize(*copy, {.kernel_config = fixture_config(kTriples)});
        wrong += factor(copy->forward(x), own, {3}) != 3;
        wrong += factor(original->forward(x), own, {2, 3}) < 0;
      },
      [&] {
        for (int round = 0; round < 100; ++round) kernelize(*original, {.kernel_config = fixture_config(round % 2 == 0 ? kDoubles : kTriples)});
      });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace graft
