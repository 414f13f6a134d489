// Kernels in training: gradients, what is kept for them, and how they fail.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <atomic>
#include <thread>

#include "gradcheck.h"
#include "graft/error.h"
#include "trained_layers.h"

namespace graft {
namespace {

using test::AddNormLayer;
using test::close;
using test::record_of;
using test::TrainedNorm;
using torch::autograd::grad;

/// What `call` throws; empty if it does not.
template <class Exception, class Call>
std::string thrown(Call&& call) {
  try {
    call();
  } catch (const Exception& e) {
    return e.what();
  }
  return {};
}

at::Tensor trained(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::randn(sizes, dtype).requires_grad_();
}

class Backward : public ::testing::TestWithParam<const char*> {};

TEST_P(Backward, GivesTheGradientsOfTheOwnForward) {
  const TrainedNorm layer(GetParam());
  ASSERT_EQ(layer.report.state, LayerState::bound) << layer.report.reason;
  const at::Tensor base = trained({4, 3, 8});
  for (const at::Tensor& x : {base, base.transpose(0, 1), base.expand({4, 3, 8}),
                              base.permute({0, 2, 1}).contiguous().permute({0, 2, 1})}) {
    const at::Tensor direction = at::randn(x.sizes());
    const auto ours = grad({layer.forward(x)}, {base, layer.weight}, {direction});
    const auto own = grad({layer.own(x)}, {base, layer.weight}, {direction});
    EXPECT_TRUE(close(ours[0], own[0]));
    EXPECT_TRUE(close(ours[1], own[1]));
  }
  EXPECT_EQ(layer.own_calls, 0);
}

TEST_P(Backward, HoldsAgainstDifferencesInDouble) {
  const TrainedNorm layer(GetParam(), at::kDouble);
  EXPECT_EQ(test::gradcheck([&](const auto& inputs) { return std::vector{layer.forward(inputs[0])}; },
                            {trained({3, 8}, at::kDouble), layer.weight}),
            "");
  EXPECT_EQ(layer.own_calls, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Backward,
                         ::testing::Values("training_norms", "training_without_saved", "training_prepacks"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Autograd, AWrongGradientIsFoundByTheCheckOfTheseTests) {
  const TrainedNorm layer("wrong_gradient", at::kDouble);
  EXPECT_NE(test::gradcheck([&](const auto& inputs) { return std::vector{layer.forward(inputs[0])}; },
                            {trained({3, 8}, at::kDouble)}),
            "");
}

TEST(Autograd, TwoOutputsHoldAgainstDifferencesInDouble) {
  const AddNormLayer layer("training_norms", at::kDouble);
  const auto both = [&](const std::vector<at::Tensor>& inputs) {
    const auto [out, sum] = layer.forward(inputs[0], inputs[1]);
    return std::vector{out, sum};
  };
  EXPECT_EQ(test::gradcheck(both, {trained({3, 8}, at::kDouble), trained({3, 8}, at::kDouble), layer.weight}),
            "");
}

TEST(Autograd, BackwardSeesWhatTheContractKeepsAndWritesWhatIsNeeded) {
  const TrainedNorm layer("training_norms");
  const training_record& record = record_of("training_norms");
  const at::Tensor x = trained({2, 8});
  layer.forward(x).sum().backward();
  EXPECT_EQ(record.arguments, 0b1011u);  // x, weight and rstd
  EXPECT_EQ(record.needs_gradient, 0b11u);
  EXPECT_EQ(record.grad_inputs, 0b11u);

  layer.forward(x.detach()).sum().backward();
  EXPECT_EQ(record.needs_gradient, 0b10u);
  EXPECT_EQ(record.grad_inputs, 0b10u);
  grad({layer.forward(x).sum()}, {x});  // who asks for x alone
  EXPECT_EQ(record.needs_gradient, 0b01u);

  at::Tensor weight = layer.weight;
  weight.requires_grad_(false);
  layer.forward(x).sum().backward();
  EXPECT_EQ(record.needs_gradient, 0b01u);
  EXPECT_EQ(record.grad_inputs, 0b01u);
}

TEST(Autograd, AnOutputThatNobodyUsedHasNoGradient) {
  const AddNormLayer layer("training_norms");
  const training_record& record = record_of("training_norms", "AddRMSNorm");
  const at::Tensor x = trained({2, 8}), residual = trained({2, 8}), direction = at::randn({2, 8});
  for (const bool first : {true, false}) {
    const auto chosen = [&](std::tuple<at::Tensor, at::Tensor> outputs) {
      return first ? std::get<0>(outputs) : std::get<1>(outputs);
    };
    const auto ours = grad({chosen(layer.forward(x, residual))}, {x, residual}, {direction});
    EXPECT_EQ(record.grad_outputs, first ? 0b01u : 0b10u);
    const auto own = grad({chosen(layer.own(x, residual))}, {x, residual}, {direction});
    EXPECT_TRUE(close(ours[0], own[0]));
    EXPECT_TRUE(close(ours[1], own[1]));
  }
  EXPECT_EQ(record.arguments, 0b110100u);  // weight, sum and rstd
}

TEST(Autograd, AnEmptyBatchGivesAZeroGradientOfTheWeight) {
  const TrainedNorm layer("training_norms");
  layer.forward(at::zeros({0, 8})).sum().backward();
  EXPECT_TRUE(layer.weight.grad().equal(at::zeros({8})));
}

TEST(Autograd, TheGraphCanBeGoneThroughAgainIfItIsRetainedAlone) {
  const TrainedNorm layer("training_norms");
  const at::Tensor x = trained({2, 8}), loss = layer.forward(x).square().sum();
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = x.grad().clone();
  loss.backward();
  EXPECT_TRUE(close(x.grad(), 2 * once));
  EXPECT_NE(thrown<c10::Error>([&] { loss.backward(); }).find("backward through the graph a second time"),
            std::string::npos);
}

TEST(Autograd, AChangeInPlaceBetweenForwardAndBackwardIsTorchsOwnError) {
  const auto refused = [](const at::Tensor& loss) {
    return thrown<c10::Error>([&] { loss.backward(); }).find("modified by an inplace operation") !=
           std::string::npos;
  };
  const TrainedNorm layer("training_norms");
  const at::Tensor leaf = trained({2, 8}), x = leaf * 2;
  at::Tensor loss = layer.forward(x).sum();
  x.add_(1);
  EXPECT_TRUE(refused(loss));

  loss = layer.forward(leaf).sum();
  {
    const at::NoGradGuard no_grad;
    layer.weight.mul_(2);  // as an optimizer's step
  }
  EXPECT_TRUE(refused(loss));

  const AddNormLayer two("training_norms");
  const auto [out, sum] = two.forward(leaf, leaf);
  loss = out.sum();
  sum.add_(1);  // a result that backward needs
  EXPECT_TRUE(refused(loss));
}

TEST(Autograd, SecondDerivativesAreRefusedWithTheKernelsName) {
  const TrainedNorm layer("training_norms");
  const at::Tensor x = trained({2, 8});
  const auto first =
      grad({layer.forward(x).square().sum()}, {x, layer.weight}, {}, true, /*create_graph=*/true);
  EXPECT_TRUE(close(first[0], grad({layer.own(x).square().sum()}, {x})[0]));
  for (const at::Tensor& input : {x, layer.weight}) {
    const std::string why = thrown<Error>([&] { grad({first[0].sum()}, {input}); });
    EXPECT_NE(why.find("second derivative of kernel"), std::string::npos) << why;
    EXPECT_NE(why.find("training_norms.so:RMSNorm"), std::string::npos) << why;
  }
}

TEST(Autograd, NothingIsKeptWhereNoGradientIsNeeded) {
  const TrainedNorm layer("training_norms");
  const training_record& record = record_of("training_norms");
  const int64_t forwards = record.forwards, with_saved = record.forwards_with_saved;
  const auto call = [&] {
    at::Tensor x = at::randn({2, 8});
    const c10::weak_intrusive_ptr<at::TensorImpl> watched(x.getIntrusivePtr());
    const at::Tensor out = layer.forward(x);
    EXPECT_FALSE(out.requires_grad());
    x.reset();
    EXPECT_TRUE(watched.expired());
  };
  {
    const at::NoGradGuard no_grad;
    call();
  }
  {
    const c10::InferenceMode inference;
    call();
  }
  at::Tensor weight = layer.weight;
  weight.requires_grad_(false);
  call();
  EXPECT_EQ(record.forwards, forwards + 3);
  EXPECT_EQ(record.forwards_with_saved, with_saved);
}

TEST(Autograd, WhatIsKeptGoesWithBackward) {
  const TrainedNorm layer("training_norms");
  at::Tensor x = at::randn({2, 8});
  const c10::weak_intrusive_ptr<at::TensorImpl> watched(x.getIntrusivePtr());
  const at::Tensor loss = layer.forward(x).sum();
  x.reset();
  EXPECT_FALSE(watched.expired());
  loss.backward();
  EXPECT_TRUE(watched.expired());
}

TEST(Autograd, AKeptOutputDoesNotKeepItsGraphAlive) {
  const AddNormLayer layer("training_norms");
  at::Tensor x = trained({2, 8});
  const c10::weak_intrusive_ptr<at::TensorImpl> watched(x.getIntrusivePtr());
  layer.forward(x, x);
  x.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(Autograd, AModuleMayGoBeforeBackward) {
  const training_record& record = record_of("training_norms");
  const int64_t instances = record.instances;
  at::Tensor loss, weight, expected;
  const at::Tensor x = trained({2, 8});
  {
    const TrainedNorm layer("training_norms");
    weight = layer.weight;
    loss = layer.forward(x).square().sum();
    expected = grad({layer.own(x).square().sum()}, {weight})[0];
  }
  EXPECT_EQ(record.instances, instances + 1);
  loss.backward();
  EXPECT_TRUE(close(weight.grad(), expected));
  loss.reset();
  EXPECT_EQ(record.instances, instances);
}

TEST(Autograd, OptimizerStepsNeedNoNewInstance) {
  const TrainedNorm layer("training_norms"), own("training_norms");
  const training_record& record = record_of("training_norms");
  own.weight.set_data(layer.weight.detach().clone());
  const int64_t instances = record.instances;
  const auto step = [](const at::Tensor& loss, const at::Tensor& weight) {
    const at::Tensor gradient = grad({loss}, {weight})[0];
    const at::NoGradGuard no_grad;
    weight.sub_(gradient, 0.1);
  };
  for (int i = 0; i < 5; ++i) {
    const at::Tensor x = at::randn({4, 8});
    step(layer.forward(x).square().mean(), layer.weight);
    step(own.own(x).square().mean(), own.weight);
  }
  EXPECT_TRUE(close(layer.weight, own.weight));
  EXPECT_EQ(layer.own_calls, 0);
  EXPECT_EQ(record.instances, instances);
}

TEST(Autograd, APackedWeightIsPackedAgainAfterAStep) {
  const TrainedNorm layer("training_prepacks");
  const at::Tensor x = trained({2, 8});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(close(layer.forward(x), layer.own(x)));
    const at::NoGradGuard no_grad;
    layer.weight.mul_(1.5);
  }
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(Autograd, EightThreadsTrainOneLayer) {
  const TrainedNorm layer("training_norms");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const at::Tensor x = trained({4, 8}), direction = at::randn({4, 8});
        const auto ours = grad({layer.forward(x)}, {x, layer.weight}, {direction});
        const auto own = grad({layer.own(x)}, {x, layer.weight}, {direction});
        if (!close(ours[0], own[0]) || !close(ours[1], own[1])) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(layer.own_calls, 0);
}

class FailingBackward : public ::testing::TestWithParam<const char*> {};

TEST_P(FailingBackward, IsAnErrorWithTheKernelsName) {
  const TrainedNorm layer(GetParam());
  const at::Tensor loss = layer.forward(trained({2, 8})).sum();
  try {
    loss.backward();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::plugin);
    EXPECT_NE(std::string(error.what()).find(":RMSNorm: backward returned GRAFT_"), std::string::npos)
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FailingBackward, ::testing::Values("backward_fails", "backward_unsupported"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
