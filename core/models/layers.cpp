#include "layers.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "slot_state.h"

namespace graft {

RMSNorm::RMSNorm(Weights& weights, const std::string& prefix, int64_t hidden_size, double eps)
    : eps_(eps),
      weight_(register_parameter("weight", weights.take(prefix + "weight", {hidden_size}))),
      slot_(register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", eps}}})) {}

at::Tensor RMSNorm::forward(const at::Tensor& x) const {
  return slot_({x}, [&] { return at::rms_norm(x, weight_.sizes(), weight_, eps_); });
}

Linear::Linear(Weights& weights, const std::string& prefix, int64_t in, int64_t out, bool bias)
    : weight_(register_parameter("weight", weights.take(prefix + "weight", {out, in}))),
      bias_(bias ? register_parameter("bias", weights.take(prefix + "bias", {out})) : at::Tensor()),
      slot_(register_kernel_layer(*this, "Linear/1")) {}

Linear::Linear(const at::Tensor& shared_weight)
    : weight_(shared_weight),
      slot_(register_kernel_layer(*this, "Linear/1", {.weights = {{"weight", shared_weight}}})) {}

at::Tensor Linear::forward(const at::Tensor& x) const {
  return slot_({x}, [&] { return at::linear(x, weight_, bias_); });
}

bool Linear::prepacked() const {
  return slot_.state().prepacks();
}

SiLU::SiLU() : slot_(register_kernel_layer(*this, "SiLU/1")) {}

at::Tensor SiLU::forward(const at::Tensor& x) const {
  return slot_({x}, [&] { return at::silu(x); });
}

SwiGLUMLP::SwiGLUMLP(Weights& weights, const std::string& prefix, const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const auto linear = [&](const std::string& name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<Linear>(weights, prefix + name + ".", in, out, config.mlp_bias));
  };
  gate_proj_ = linear("gate_proj", hidden, inner);
  up_proj_ = linear("up_proj", hidden, inner);
  down_proj_ = linear("down_proj", inner, hidden);
  act_fn_ = register_module("act_fn", std::make_shared<SiLU>());
  if (config.mlp_bias) return;
  slot_.emplace(register_kernel_layer(*this, "SwiGLUMLP/1",
                                      {.weights = {{"gate", "gate_proj.weight"},
                                                   {"up", "up_proj.weight"},
                                                   {"down", "down_proj.weight"}},
                                       .covers = {"gate_proj", "up_proj", "down_proj", "act_fn"}}));
}

at::Tensor SwiGLUMLP::forward(const at::Tensor& x) const {
  const auto own = [&] { return down_proj_->forward(act_fn_->forward(gate_proj_->forward(x)) * up_proj_->forward(x)); };
  return slot_ ? (*slot_)({x}, own) : own();
}

namespace {

at::Tensor rotate_half(const at::Tensor& x) {
  const int64_t half = x.size(-1) / 2;
  return at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
}

/// Which keys a query may see, [T, S] or with the mask's leading dimensions; undefined: all.
at::Tensor visible(const at::Tensor& q, int64_t keys, const at::Tensor& mask, int64_t window) {
  const int64_t queries = q.size(2);
  if (queries == 1 && (window == 0 || window >= keys)) return mask;
  const auto index = at::TensorOptions(q.device()).dtype(at::kLong);
  const at::Tensor key = at::arange(keys, index);
  const at::Tensor query = at::arange(keys - queries, keys, index).unsqueeze(1);  // position of each query's own key
  at::Tensor sees = key <= query;
  if (window > 0) sees = sees & (key > query - window);
  return mask.defined() ? sees & mask : sees;
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> apply_rotary_pos_emb(const at::Tensor& q, const at::Tensor& k, const at::Tensor& cos,
                                                        const at::Tensor& sin) {
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return {q * c + rotate_half(q) * s, k * c + rotate_half(k) * s};
}

at::Tensor attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                             double scale, int64_t window, bool fused) {
  const int64_t queries = q.size(2), keys = k.size(2), group = q.size(1) / k.size(1);
  // Each key head serves a group of query heads; on a GPU torch's own attention takes that as it is.
  const bool as_it_is = group == 1 || (fused && q.is_cuda());
  const auto repeated = [&](const at::Tensor& x) {
    return as_it_is ? x : x.unsqueeze(2).expand({-1, -1, group, -1, -1}).flatten(1, 2);
  };
  // torch aligns "causal" with the first key, so it fits only where there are as many queries as keys.
  const bool plain_causal = fused && !mask.defined() && queries == keys && (window == 0 || window >= keys);
  const at::Tensor sees = plain_causal ? at::Tensor() : visible(q, keys, mask, window);
  if (fused) {
    const std::optional<at::Tensor> attn_mask = sees.defined() ? std::optional(sees) : std::nullopt;
    return at::scaled_dot_product_attention(q, repeated(k), repeated(v), attn_mask, 0.0, plain_causal, scale, /*enable_gqa=*/group != 1 && as_it_is)
        .transpose(1, 2)
        .contiguous();
  }
  at::Tensor scores = at::matmul(q, repeated(k).transpose(-1, -2)) * scale;
  if (sees.defined()) scores = at::where(sees, scores, std::numeric_limits<float>::lowest());
  const at::Tensor probabilities = at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  return at::matmul(probabilities, repeated(v)).transpose(1, 2).contiguous();
}

}  // namespace graft
