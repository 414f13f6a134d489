// Attention on a GPU in training, beside torch's own in float64: shapes, strides and masks that the self-check does not draw.
#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <numeric>

#include "gpu.h"
#include "graft/runtime.h"
#include "layer.h"
#include "layers.h"
#include "packed_attention.h"

namespace graft {
namespace {

using namespace reference;
using testing::kGpu;

struct Shape {
  int64_t batch, query_heads, key_heads, queries, keys, dim, window;
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    return out << s.batch << "x" << s.query_heads << "x" << s.key_heads << "x" << s.queries << "x" << s.keys << "x" << s.dim << " window "
               << s.window;
  }
};

constexpr double kScale = 0.1;

class Attention final : public Layer {
 public:
  Attention(const LayerData& data, int64_t window) : inputs_(data.inputs), window_(window) {}

  Outputs forward() const override {
    const at::Tensor &q = inputs_[0], &k = inputs_[1], &v = inputs_[2];
    return {slot_({q, k, v}, [&] {
      count_own_call();
      return attention_forward(q, k, v, /*mask=*/{}, kScale, window_, /*fused=*/true);
    })};
  }

 private:
  std::vector<at::Tensor> inputs_;
  int64_t window_;
  KernelSlot slot_ = register_kernel_layer(*this, "attention/1", {.attributes = {{"scale", kScale}, {"sliding_window", window_}}});
};

/// inputs: q, k, v, cu_seqlens_q, cu_seqlens_k.
class VarlenAttention final : public Layer {
 public:
  VarlenAttention(const LayerData& data, int64_t window) : inputs_(data.inputs), window_(window) {}

  Outputs forward() const override {
    const at::Tensor &q = inputs_[0], &k = inputs_[1], &v = inputs_[2], &first_q = inputs_[3], &first_k = inputs_[4];
    return {slot_({q, k, v, first_q, first_k}, [&] {
      count_own_call();
      return varlen_attention_forward(q, k, v, first_q, first_k, kScale, window_, /*fused=*/true);
    })};
  }

 private:
  std::vector<at::Tensor> inputs_;
  int64_t window_;
  KernelSlot slot_ =
      register_kernel_layer(*this, "varlen_attention/1", {.attributes = {{"scale", kScale}, {"sliding_window", window_}}});
};

class AttentionGradients : public testing::Gpu {
 protected:
  void SetUp() override {
    Gpu::SetUp();
    if (IsSkipped()) return;
    for (const auto& [kernel, entry] : {std::pair(&dense_, "Attention"), std::pair(&varlen_, "VarlenAttention")}) {
      *kernel = std::make_shared<const Kernel>(
          Runtime::shared().load(KernelRef::parse(std::string("graft-kernels/attention:") + entry), {.device = "cuda:0"}));
    }
  }
  static LayerData draw(const Shape& s, at::ScalarType dtype, bool tokens_first = false) {
    Draw draw(dtype, kGpu);
    const auto tensor = [&](int64_t heads, int64_t tokens) {
      return tokens_first ? draw.normal({s.batch, tokens, heads, s.dim}).transpose(1, 2) : draw.normal({s.batch, heads, tokens, s.dim});
    };
    return {.weights = {}, .inputs = {tensor(s.query_heads, s.queries), tensor(s.key_heads, s.keys), tensor(s.key_heads, s.keys)}};
  }
  /// Sequences of so many queries and keys each.
  static LayerData draw_packed(const Shape& s, const std::vector<int64_t>& queries, const std::vector<int64_t>& keys, at::ScalarType dtype) {
    Draw draw(dtype, kGpu);
    const auto first = [](const std::vector<int64_t>& lengths) {
      std::vector<int32_t> ends{0};
      for (const int64_t length : lengths) ends.push_back(ends.back() + int32_t(length));
      return at::tensor(ends, at::kInt).to(kGpu);
    };
    const auto tensor = [&](int64_t heads, const std::vector<int64_t>& lengths) {
      return draw.normal({std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), heads, s.dim});
    };
    return {.weights = {},
            .inputs = {tensor(s.query_heads, queries), tensor(s.key_heads, keys), tensor(s.key_heads, keys), first(queries), first(keys)}};
  }
  static std::shared_ptr<Layer> made(const LayerData& data, int64_t window) {
    if (data.inputs.size() == 3) return std::make_shared<Attention>(data, window);
    return std::make_shared<VarlenAttention>(data, window);
  }
  std::shared_ptr<Layer> bound(const LayerData& data, int64_t window) const {
    const std::shared_ptr<Layer> layer = made(data, window);
    testing::bind_alone(*layer, data.inputs.size() == 3 ? dense_ : varlen_, data.inputs[0].scalar_type());
    layer->train();
    return layer;
  }
  /// Of the output's elements, no two alike.
  static at::Tensor gradient_for(const at::Tensor& out) {
    return at::arange(out.numel(), out.options().dtype(at::kFloat)).mul(0.7).sin().to(out.scalar_type()).view(out.sizes());
  }
  static void expect_close(const at::Tensor& got, const at::Tensor& expected, const std::string& what) {
    ASSERT_TRUE(got.defined()) << what;
    const double off = ((got.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
    EXPECT_LE(off, 2e-2) << what;
  }
  /// needs: which of q, k and v want gradients.
  void expect_torchs(const LayerData& data, int64_t window, std::array<bool, 3> needs = {true, true, true}) const {
    const LayerData precise = data.in_double();
    const auto layer = bound(data, window), own = made(precise, window);
    for (size_t i = 0; i < 3; ++i) {
      if (!needs[i]) continue;
      data.inputs[i].requires_grad_(true);
      precise.inputs[i].requires_grad_(true);
    }
    const at::Tensor out = layer->forward()[0], expected = own->forward()[0];
    ASSERT_EQ(layer->own_calls(), 0);
    expect_close(out, expected, "out");
    const at::Tensor gradient = gradient_for(out);
    torch::autograd::backward({out}, {gradient});
    torch::autograd::backward({expected}, {gradient.to(at::kDouble)});
    for (size_t i = 0; i < 3; ++i) {
      if (!needs[i]) {
        EXPECT_FALSE(data.inputs[i].grad().defined());
        continue;
      }
      expect_close(data.inputs[i].grad(), precise.inputs[i].grad(), std::string("gradient of ") + "qkv"[i]);
    }
  }

  std::shared_ptr<const Kernel> dense_, varlen_;
};

TEST_F(AttentionGradients, AreTorchsForGroupsWindowsAndFewerQueriesThanKeys) {
  const Shape shapes[] = {
      {2, 4, 4, 64, 64, 64, 0},     {3, 9, 3, 100, 100, 64, 0},    {1, 16, 8, 333, 333, 128, 0}, {2, 8, 2, 40, 300, 128, 0},
      {1, 4, 1, 1, 77, 64, 0},      {2, 4, 2, 200, 200, 80, 0},    {2, 4, 2, 256, 256, 128, 32}, {1, 6, 3, 300, 300, 64, 100},
      {1, 4, 2, 129, 257, 64, 50},
  };
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    for (const Shape& shape : shapes) {
      SCOPED_TRACE(::testing::PrintToString(shape) + " " + toString(dtype));
      expect_torchs(draw(shape, dtype), shape.window);
    }
  }
}

TEST_F(AttentionGradients, TakeHeadsThatStandWithinTokens) {
  const Shape shape{2, 8, 4, 150, 150, 128, 0};
  expect_torchs(draw(shape, at::kBFloat16, /*tokens_first=*/true), shape.window);
}

TEST_F(AttentionGradients, OfPackedSequencesAreTorchs) {
  const Shape groups{0, 9, 3, 0, 0, 64, 0}, window{0, 4, 4, 0, 0, 128, 20}, one_key_head{0, 8, 1, 0, 0, 128, 0};
  const std::vector<int64_t> unequal{300, 7, 128, 1, 65}, with_an_empty_one{40, 0, 90}, more_keys{310, 7, 200, 30, 65}, one{200};
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    for (const Shape& shape : {groups, window, one_key_head}) {
      SCOPED_TRACE(::testing::PrintToString(shape) + " " + toString(dtype));
      expect_torchs(draw_packed(shape, unequal, unequal, dtype), shape.window);
    }
    SCOPED_TRACE(toString(dtype));
    expect_torchs(draw_packed(groups, with_an_empty_one, with_an_empty_one, dtype), 0);
    expect_torchs(draw_packed(groups, one, one, dtype), 0);
    expect_torchs(draw_packed(groups, unequal, more_keys, dtype), 0);
  }
}

TEST_F(AttentionGradients, OfPackedSequencesLeaveZerosWhereAQuerySeesNothing) {
  const Shape shape{0, 4, 2, 0, 0, 64, 0};
  const LayerData data = draw_packed(shape, {50, 30}, {20, 30}, at::kBFloat16);
  for (size_t i = 0; i < 3; ++i) data.inputs[i].requires_grad_(true);
  const at::Tensor out = bound(data, 0)->forward()[0];
  EXPECT_EQ(out.narrow(0, 0, 30).count_nonzero().item<int64_t>(), 0);
  torch::autograd::backward({out}, {gradient_for(out)});
  EXPECT_EQ(data.inputs[0].grad().narrow(0, 0, 30).count_nonzero().item<int64_t>(), 0);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(data.inputs[i].grad().isfinite().all().item<bool>()) << "qkv"[i];
}

TEST_F(AttentionGradients, OfBatchesOfAboutTheSameSizeAreOfOnePlan) {
  const Shape shape{0, 4, 2, 0, 0, 64, 0};
  for (const int64_t last : {300, 310, 333, 299}) {
    const std::vector<int64_t> lengths{100, last};
    expect_torchs(draw_packed(shape, lengths, lengths, at::kBFloat16), 0);
  }
}

TEST_F(AttentionGradients, AreWrittenForThoseThatWantThemAlone) {
  const Shape shape{2, 8, 4, 150, 150, 64, 0};
  for (const std::array<bool, 3> needs : {std::array{true, false, false}, std::array{false, true, false}, std::array{false, false, true},
                                          std::array{true, false, true}}) {
    expect_torchs(draw(shape, at::kBFloat16), shape.window, needs);
    expect_torchs(draw_packed(shape, {100, 50}, {100, 50}, at::kBFloat16), shape.window, needs);
  }
}

TEST_F(AttentionGradients, LeaveToTheLayerWhatCudnnDoesNotServe) {
  const Shape more_queries_than_keys{1, 4, 2, 50, 20, 64, 0}, odd_rows{1, 4, 2, 50, 50, 20, 0}, of_one_key{1, 2, 2, 1, 1, 64, 0};
  for (const Shape& shape : {more_queries_than_keys, odd_rows, of_one_key}) {
    const LayerData data = draw(shape, at::kBFloat16);
    const auto layer = bound(data, shape.window);
    data.inputs[0].requires_grad_(true);
    layer->forward()[0].sum().backward();
    EXPECT_EQ(layer->own_calls(), 1) << shape;
    EXPECT_TRUE(data.inputs[0].grad().defined());
  }
}

TEST_F(AttentionGradients, AreTheSameBitsWhereDeterminismIsAskedFor) {
  const Shape shape{2, 8, 4, 512, 512, 128, 0};
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  std::array<std::vector<at::Tensor>, 2> runs;
  for (auto& grads : runs) {
    const LayerData data = draw(shape, at::kBFloat16);  // the same each time
    for (const at::Tensor& input : data.inputs) input.requires_grad_(true);
    const auto layer = bound(data, shape.window);
    const at::Tensor out = layer->forward()[0];
    torch::autograd::backward({out}, {gradient_for(out)});
    for (const at::Tensor& input : data.inputs) grads.push_back(input.grad());
  }
  at::globalContext().setDeterministicAlgorithms(false, false);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(runs[0][i].equal(runs[1][i])) << "qkv"[i];
}

}  // namespace
}  // namespace graft
