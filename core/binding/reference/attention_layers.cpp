// Rotary position embedding and causal attention, dense, packed and paged, as the models of core/models have them.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "layer.h"
#include "layers.h"            // of core/models
#include "packed_attention.h"  // likewise

namespace graft::reference {
namespace {

class RotaryLayer final : public Layer {
 public:
  explicit RotaryLayer(const LayerData& data)
      : q_(data.inputs[0]), k_(data.inputs[1]), cos_(data.inputs[2]), sin_(data.inputs[3]) {}

  Outputs forward() const override {
    auto [q, k] = slot_({q_, k_, cos_, sin_}, [&] {
      count_own_call();
      return apply_rotary_pos_emb(q_, k_, cos_, sin_);
    });
    return {std::move(q), std::move(k)};
  }

 private:
  at::Tensor q_, k_, cos_, sin_;
  KernelSlot slot_ = register_kernel_layer(*this, "rotary_pos_emb/1");
};

class AttentionLayer final : public Layer {
 public:
  explicit AttentionLayer(const LayerData& data)
      : q_(data.inputs[0]),
        k_(data.inputs[1]),
        v_(data.inputs[2]),
        scale_(1 / std::sqrt(double(q_.size(-1)))) {}

  Outputs forward() const override {
    return {slot_({q_, k_, v_}, [&] {
      count_own_call();
      return attention_forward(q_, k_, v_, /*mask=*/{}, scale_, /*window=*/0, /*fused=*/true);
    })};
  }

 private:
  at::Tensor q_, k_, v_;
  double scale_;
  KernelSlot slot_ = register_kernel_layer(*this, "attention/1", {.attributes = {{"scale", scale_}}});
};

class VarlenAttentionLayer final : public Layer {
 public:
  explicit VarlenAttentionLayer(const LayerData& data)
      : inputs_(data.inputs), scale_(1 / std::sqrt(double(data.inputs[0].size(-1)))) {}

  Outputs forward() const override {
    const at::Tensor &q = inputs_[0], &k = inputs_[1], &v = inputs_[2], &cu_seqlens = inputs_[3];
    return {slot_({q, k, v, cu_seqlens, cu_seqlens}, [&] {
      count_own_call();
      return varlen_attention_forward(q, k, v, cu_seqlens, cu_seqlens, scale_, /*window=*/0, /*fused=*/true);
    })};
  }

 private:
  std::vector<at::Tensor> inputs_;
  double scale_;
  KernelSlot slot_ = register_kernel_layer(*this, "varlen_attention/1", {.attributes = {{"scale", scale_}}});
};

class PagedAttentionLayer final : public Layer {
 public:
  explicit PagedAttentionLayer(const LayerData& data)
      : inputs_(data.inputs), scale_(1 / std::sqrt(double(data.inputs[0].size(-1)))) {}

  Outputs forward() const override {
    return {slot_({inputs_[0], inputs_[1], inputs_[2], inputs_[3], inputs_[4], inputs_[5]}, [&] {
      count_own_call();
      return paged_attention_forward(inputs_[0], inputs_[1], inputs_[2], inputs_[3], inputs_[4], inputs_[5], scale_,
                                     /*window=*/0, /*fused=*/true);
    })};
  }

 private:
  std::vector<at::Tensor> inputs_;
  double scale_;
  KernelSlot slot_ = register_kernel_layer(*this, "paged_attention/1", {.attributes = {{"scale", scale_}}});
};

/// Of `count` sequences the longest has `most` tokens, and each of the others as many less as the one before it.
std::vector<int32_t> unequal(int64_t count, int64_t most) {
  std::vector<int32_t> lengths;
  for (int64_t b = 0; b < count; ++b) lengths.push_back(int32_t(most * (count - b) / count));
  return lengths;
}

at::Tensor cumulative(const std::vector<int32_t>& lengths, c10::Device device) {
  std::vector<int32_t> ends = {0};
  for (int32_t length : lengths) ends.push_back(ends.back() + length);
  return at::tensor(ends, at::kInt).to(device);
}

/// shape: TxQxKxD.
LayerData rotary_data(const Sizes& shape, Draw& draw) {
  const int64_t tokens = shape[0], dim = shape[3];
  const at::Tensor half = draw.normal({1, tokens, dim / 2}, /*deviation=*/3);
  const at::Tensor angles = at::cat({half, half}, -1);  // as in a model: both halves of a head turn alike
  return {.weights = {},
          .inputs = {draw.normal({1, shape[1], tokens, dim}), draw.normal({1, shape[2], tokens, dim}),
                     angles.cos(), angles.sin()}};
}

/// shape: TxSxQxKxD.
LayerData attention_data(const Sizes& shape, Draw& draw) {
  const int64_t keys = shape[1], heads = shape[3], dim = shape[4];
  return {.weights = {},
          .inputs = {draw.normal({1, shape[2], shape[0], dim}), draw.normal({1, heads, keys, dim}),
                     draw.normal({1, heads, keys, dim})}};
}

/// shape: BxTxQxKxD.
LayerData varlen_data(const Sizes& shape, Draw& draw) {
  const std::vector<int32_t> lengths = unequal(shape[0], shape[1]);
  int64_t tokens = 0;
  for (int32_t length : lengths) tokens += length;
  const int64_t dim = shape[4];
  const at::Tensor q = draw.normal({tokens, shape[2], dim}), k = draw.normal({tokens, shape[3], dim}),
                   v = draw.normal({tokens, shape[3], dim});
  return {.weights = {}, .inputs = {q, k, v, cumulative(lengths, q.device())}};
}

/// shape: BxTxSxQxKxD. The pages of a sequence do not stand side by side: each takes every B-th.
LayerData paged_data(const Sizes& shape, Draw& draw) {
  constexpr int64_t kPageTokens = 64;
  const int64_t batch = shape[0], queries = shape[1], dim = shape[5];
  std::vector<int32_t> keys = unequal(batch, shape[2]);
  for (int32_t& count : keys) count = std::max(count, int32_t(queries));
  const int64_t columns = (keys[0] + kPageTokens - 1) / kPageTokens;
  const at::Tensor q = draw.normal({batch * queries, shape[3], dim}),
                   k = draw.normal({batch * columns, kPageTokens, shape[4], dim}),
                   v = draw.normal({batch * columns, kPageTokens, shape[4], dim});
  const at::TensorOptions ints = at::TensorOptions(q.device()).dtype(at::kInt);
  return {.weights = {},
          .inputs = {q, k, v, at::arange(batch * columns, ints).view({columns, batch}).t().contiguous(),
                     at::tensor(keys, at::kInt).to(q.device()),
                     cumulative(std::vector<int32_t>(size_t(batch), int32_t(queries)), q.device())}};
}

std::string varlen_complaint(const Sizes& shape) {
  return shape[2] % shape[3] == 0 ? "" : "the query heads Q must be a multiple of the key heads K";
}

std::string paged_complaint(const Sizes& shape) {
  if (shape[1] > shape[2]) return "there must be as many keys S as queries T at least";
  return shape[3] % shape[4] == 0 ? "" : "the query heads Q must be a multiple of the key heads K";
}

std::string rotary_complaint(const Sizes& shape) {
  return shape[3] % 2 == 0 ? "" : "the head dimension D must be even";
}

std::string attention_complaint(const Sizes& shape) {
  if (shape[0] > shape[1]) return "there must be as many keys S as queries T at least";
  return shape[2] % shape[3] == 0 ? "" : "the query heads Q must be a multiple of the key heads K";
}

// Heads of SmolLM2-135M and of Llama 3 8B.
const std::vector<Sizes> kRotaryGrid = {{1, 9, 3, 64}, {512, 9, 3, 64}, {1, 32, 8, 128}, {512, 32, 8, 128}};
const std::vector<Sizes> kAttentionGrid = {
    {1, 512, 9, 3, 64}, {1, 2048, 9, 3, 64}, {512, 512, 9, 3, 64}, {1, 2048, 32, 8, 128}};
const std::vector<Sizes> kVarlenGrid = {{8, 64, 9, 3, 64}, {8, 512, 9, 3, 64}, {4, 512, 32, 8, 128}};
const std::vector<Sizes> kPagedGrid = {{8, 1, 512, 9, 3, 64}, {8, 1, 2048, 9, 3, 64}, {4, 128, 512, 9, 3, 64}, {8, 1, 2048, 32, 8, 128}};

}  // namespace

std::vector<LayerKind> attention_layers() {
  return {{"rotary_pos_emb/1", kRotaryGrid, {{5, 4, 2, 10}, {8, 4, 2, 64}}, rotary_data, make_layer<RotaryLayer>, rotary_complaint},
          {"attention/1", kAttentionGrid, {{5, 9, 4, 2, 10}, {8, 16, 4, 2, 64}}, attention_data, make_layer<AttentionLayer>, attention_complaint},
          {"varlen_attention/1", kVarlenGrid, {{3, 9, 4, 2, 10}, {2, 80, 4, 2, 64}}, varlen_data, make_layer<VarlenAttentionLayer>, varlen_complaint},
          {"paged_attention/1", kPagedGrid, {{3, 2, 150, 4, 2, 10}, {2, 1, 80, 4, 2, 64}}, paged_data, make_layer<PagedAttentionLayer>, paged_complaint}};
}

}  // namespace graft::reference
