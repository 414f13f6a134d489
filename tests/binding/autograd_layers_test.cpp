// Backward of layers whose inputs are not all differentiable, optional or broadcast.
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "gradcheck.h"
#include "graft/contract.h"
#include "graft/error.h"
#include "in_place.h"
#include "trained_layers.h"

namespace graft {
namespace {

using test::close;
using torch::autograd::grad;

/// A slot without an own forward: that it is asked for fails the test.
struct Layer : torch::nn::Module {
  Layer(const std::string& contract, const std::string& entry, KernelLayerOptions options = {},
        at::ScalarType dtype = at::kDouble) {
    register_parameter("any", at::zeros({1}, dtype));  // says the dtype of a layer without weights
    const std::string name = contract.substr(0, contract.find('/'));
    if (options.layer.empty()) options.layer = name;
    slot = std::make_unique<KernelSlot>(register_kernel_layer(*this, contract, std::move(options)));
    eval();
    const std::string reference = test::fixture("training_layers").string() + ":" + entry;
    kernelize(*this, {.kernel_config = KernelConfig({{name, reference}}, {.use_local_kernel = true}),
                      .use_fallback = false});
  }
  at::Tensor operator()(std::initializer_list<TensorArg> inputs) const {
    return (*slot)(inputs, []() -> at::Tensor { throw std::logic_error("the own forward was asked for"); });
  }
  std::unique_ptr<KernelSlot> slot;
};

TEST(AutogradLayers, LabelsNeedNoGradient) {
  const at::Tensor weight = at::randn({7, 4}).requires_grad_(), hidden = at::randn({5, 4}).requires_grad_();
  const Layer layer("ForCausalLMLoss/1", "ForCausalLMLoss", {.weights = {{"weight", weight}}}, at::kFloat);
  at::Tensor labels = at::randint(7, {5}, at::kLong);
  labels[2] = -100;
  const auto ours = grad({layer({hidden, labels}) * 3}, {hidden, weight});
  const auto own = grad({at::cross_entropy_loss(hidden.matmul(weight.t()), labels) * 3}, {hidden, weight});
  EXPECT_TRUE(close(ours[0], own[0]));
  EXPECT_TRUE(close(ours[1], own[1]));
}

TEST(AutogradLayers, AnOptionalMaskIsKeptOrAbsent) {
  const Layer layer("attention/1", "Attention", {.attributes = {{"scale", 0.5}, {"causal", false}}});
  const auto made = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble).requires_grad_(); };
  const at::Tensor q = made({2, 4, 3, 4}), k = made({2, 2, 5, 4}), v = made({2, 2, 5, 6});
  at::Tensor mask = at::rand({1, 1, 3, 5}) > 0.4;
  mask.select(3, 0).fill_(true);
  for (const at::Tensor& given : {at::Tensor(), mask}) {
    const auto attend = [&](const auto& in) { return std::vector{layer({in[0], in[1], in[2], given})}; };
    EXPECT_EQ(test::gradcheck(attend, {q, k, v}), "");
    const std::optional<at::Tensor> own_mask = given.defined() ? std::optional(given) : std::nullopt;
    const at::Tensor own =
        at::scaled_dot_product_attention(q, k, v, own_mask, 0, false, 0.5, /*enable_gqa=*/true)
            .transpose(1, 2);
    const at::Tensor ours = layer({q, k, v, given}), direction = at::randn(ours.sizes(), at::kDouble);
    ASSERT_TRUE(close(ours, own));
    const auto our_gradients = grad({ours}, {q, k, v}, {direction}),
               own_gradients = grad({own}, {q, k, v}, {direction});
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(close(our_gradients[i], own_gradients[i])) << i;
  }
}

const graft_argument kModulateArguments[] = {{"x", GRAFT_IN, GRAFT_ARG_KEPT, "T", "B T D"},
                                             {"scale", GRAFT_IN, GRAFT_ARG_KEPT, "T", "?B T D"},
                                             {"out", GRAFT_OUT, 0, "T", "B T D"}};
const graft_contract kModulate = {
    sizeof(graft_contract), 1, "Modulate/1", kModulateArguments, 3, 0, nullptr, nullptr, 0};

TEST(AutogradLayers, ABroadcastInputsGradientHasItsOwnShape) {
  ContractRegistry::shared().add(kModulate);
  const Layer layer("Modulate/1", "Modulate");
  const auto made = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble).requires_grad_(); };
  const auto modulate = [&](const auto& in) { return std::vector{layer({in[0], in[1]})}; };
  for (const int64_t batch : {1, 3}) {
    const at::Tensor x = made({3, 2, 4}), scale = made({batch, 2, 4});
    EXPECT_EQ(test::gradcheck(modulate, {x, scale}), "");
    EXPECT_EQ(grad({layer({x, scale}).sum()}, {scale})[0].sizes(), scale.sizes());
  }
}

TEST(AutogradLayers, ResultsInPlaceAreTheOwnForwardsWhereAGradientIsNeeded) {
  ContractRegistry::shared().add(test::kDoubleInPlace);
  const Layer layer("DoubleInPlace/1", "DoubleInPlace");
  const at::Tensor leaf = at::ones({3}, at::kDouble).requires_grad_();
  at::Tensor x = leaf * 3;
  int own_calls = 0;
  const auto run = [&] {
    (*layer.slot)({x}, [&] {
      ++own_calls;
      x.mul_(2);
    });
  };
  run();
  EXPECT_EQ(own_calls, 1);
  EXPECT_TRUE(grad({x.sum()}, {leaf})[0].equal(at::ones({3}, at::kDouble) * 6));
  x = x.detach();
  run();
  EXPECT_EQ(own_calls, 1);
  EXPECT_TRUE(x.equal(at::ones({3}, at::kDouble) * 12));
}

struct Rotary : Layer {
  Rotary() : Layer("rotary_pos_emb/1", "RotaryPosEmb") {}
  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& cos,
                                             const at::Tensor& sin) const {
    return (*slot)({q, k, cos, sin},
                   []() -> std::tuple<at::Tensor, at::Tensor> { throw std::logic_error("own"); });
  }
};

TEST(AutogradLayers, InputsThatAreNotKeptHaveGradientsToo) {
  const Rotary layer;
  const at::Tensor q = at::randn({2, 4, 3, 6}, at::kDouble).requires_grad_();
  const at::Tensor k = at::randn({2, 2, 3, 6}, at::kDouble).requires_grad_();
  const at::Tensor cos = at::randn({1, 3, 6}, at::kDouble), sin = at::randn({1, 3, 6}, at::kDouble);
  const auto rotate = [&](const auto& in) {
    const auto [q_out, k_out] = layer.forward(in[0], in[1], cos, sin);
    return std::vector{q_out, k_out};
  };
  EXPECT_EQ(test::gradcheck(rotate, {q, k}), "");
  const auto of_q =
      grad({std::get<0>(layer.forward(q, k, cos, sin)).sum()}, {q, k}, {}, {}, false, /*allow_unused=*/true);
  EXPECT_TRUE(of_q[1].equal(at::zeros_like(k)));
}

}  // namespace
}  // namespace graft
