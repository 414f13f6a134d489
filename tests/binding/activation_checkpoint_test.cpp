#include "graft/activation_checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "graft/error.h"
#include "trained_layers.h"

namespace graft {
namespace {

using test::close;
using test::record_of;
using test::TrainedNorm;
using torch::autograd::grad;

struct TwoNorms {
  TrainedNorm first{"training_norms"}, second{"training_norms"};
  at::Tensor operator()(const at::Tensor& x) const { return second.forward(first.forward(x).sigmoid()) * x; }
};

at::Tensor checkpointed(const TwoNorms& block, const at::Tensor& x) {
  return checkpoint([&](const at::Tensor& x) { return block(x); }, x);
}

TEST(Checkpoint, GivesTheSameResultsAndGradients) {
  const TwoNorms block;
  const at::Tensor leaf = at::randn({4, 8}).requires_grad_(), direction = at::randn({4, 8});
  const std::vector<at::Tensor> all = {leaf, block.first.weight, block.second.weight};
  const auto twice = [&](auto&& run) { return run(run(leaf * 2) + leaf); };
  const at::Tensor plain = twice(block),
                   out = twice([&](const at::Tensor&x) { return checkpointed(block, x); });
  EXPECT_TRUE(plain.equal(out));
  const auto expected = grad({plain}, all, {direction}), ours = grad({out}, all, {direction});
  for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(close(ours[i], expected[i])) << i;

  checkpointed(block, leaf).backward(direction);
  const at::Tensor accumulated = block.first.weight.grad().clone();
  block.first.weight.mutable_grad().reset();
  block(leaf).backward(direction);
  EXPECT_TRUE(close(accumulated, block.first.weight.grad()));
}

TEST(Checkpoint, TrainsParametersThoughNoInputNeedsAGradient) {
  const TwoNorms block;
  const at::Tensor x = at::randn({4, 8});
  const auto ours = grad({checkpointed(block, x).sum()}, {block.first.weight});
  EXPECT_TRUE(close(ours[0], grad({block(x).sum()}, {block.first.weight})[0]));
}

TEST(Checkpoint, KeepsNoActivationsAndComputesThemAgain) {
  const TwoNorms block;
  const training_record& record = record_of("training_norms");
  c10::weak_intrusive_ptr<at::TensorImpl> activation(at::Tensor().getIntrusivePtr());
  const auto watched = [&](const at::Tensor& x) {
    const at::Tensor middle = block.first.forward(x);
    activation = c10::weak_intrusive_ptr<at::TensorImpl>(middle.getIntrusivePtr());
    return block.second.forward(middle);
  };
  const at::Tensor x = at::randn({4, 8}).requires_grad_();
  const int64_t before = record.forwards;
  const at::Tensor plain = watched(x);
  EXPECT_FALSE(activation.expired());
  const at::Tensor out = checkpoint(watched, x);
  EXPECT_TRUE(activation.expired());
  EXPECT_EQ(record.forwards, before + 4);
  out.sum().backward();
  EXPECT_EQ(record.forwards, before + 6);
  EXPECT_TRUE(activation.expired());
}

TEST(Checkpoint, IsAPlainCallWhereNoGradientIsNeeded) {
  const TwoNorms block;
  const at::Tensor x = at::randn({4, 8}).requires_grad_();
  const int64_t saved = record_of("training_norms").forwards_with_saved;
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(checkpointed(block, x).requires_grad());
  EXPECT_EQ(record_of("training_norms").forwards_with_saved, saved);
}

TEST(Checkpoint, BlocksWithSeveralResultsAndCheckpointsInside) {
  const TwoNorms block;
  const auto outer = [&](const at::Tensor& x, const at::Tensor& y) {
    const at::Tensor out = checkpointed(block, x + y);
    return std::vector<at::Tensor>{out, x.detach(), y * 2};
  };
  const at::Tensor x = at::randn({4, 8}).requires_grad_(), y = at::randn({4, 8}).requires_grad_();
  const auto results = checkpoint(outer, x, y), plain = outer(x, y);
  EXPECT_FALSE(results[1].requires_grad());
  const std::vector<at::Tensor> all = {x, y, block.first.weight};
  const auto ours = grad({(results[0] + results[2]).sum()}, all),
             expected = grad({(plain[0] + plain[2]).sum()}, all);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(close(ours[i], expected[i])) << i;
}

TEST(Checkpoint, ATensorWithAHistoryFromOutsideIsRefused) {
  const at::Tensor leaf = at::randn({4, 8}).requires_grad_(), outside = leaf * 2;
  EXPECT_THROW(checkpoint([&](const at::Tensor& x) { return x * outside; }, leaf), Error);
}

TEST(Checkpoint, RetainedGraphsChangedInputsAndSecondDerivatives) {
  const TwoNorms block;
  const at::Tensor leaf = at::randn({4, 8}).requires_grad_(), x = leaf * 2;
  at::Tensor loss = checkpointed(block, x).sum();
  loss.backward({}, /*retain_graph=*/true);
  loss.backward();
  EXPECT_THROW(loss.backward(), c10::Error);

  const at::Tensor y = leaf * 2;
  loss = checkpointed(block, y).sum();
  y.add_(1);
  EXPECT_THROW(loss.backward(), c10::Error);

  const auto first = grad({checkpointed(block, leaf).sum()}, {leaf}, {}, true, /*create_graph=*/true);
  EXPECT_THROW(grad({first[0].sum()}, {leaf}), Error);
}

}  // namespace
}  // namespace graft
