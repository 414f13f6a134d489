// Rotary position embedding and causal attention, as the models of core/models have them.
#include <ATen/ops/cat.h>

#include <cmath>

#include "layer.h"
#include "layers.h"  // of core/models

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

}  // namespace

std::vector<LayerKind> attention_layers() {
  return {{"rotary_pos_emb/1", kRotaryGrid, {{5, 4, 2, 10}, {8, 4, 2, 64}}, rotary_data, make_layer<RotaryLayer>, rotary_complaint},
          {"attention/1", kAttentionGrid, {{5, 9, 4, 2, 10}, {8, 16, 4, 2, 64}}, attention_data, make_layer<AttentionLayer>, attention_complaint}};
}

}  // namespace graft::reference
