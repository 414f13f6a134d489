#include "loss.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>

namespace graft {
namespace {

constexpr int64_t kIgnored = -100;

/// Token t predicts token t + 1, and the last one nothing: [B, T] → [B * T]. Labels move rather than logits,
/// as in transformers: those would be copied.
at::Tensor shifted(const at::Tensor& labels) {
  return at::constant_pad_nd(labels.narrow(1, 1, labels.size(1) - 1), {0, 1}, kIgnored).flatten();
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor precise = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  return at::cross_entropy_loss(precise, labels, {}, at::Reduction::Mean, kIgnored);
}

}  // namespace

ForCausalLMLoss::ForCausalLMLoss(const at::Tensor& lm_head_weight)
    : weight_(lm_head_weight),
      slot_(register_kernel_layer(
          *this, "ForCausalLMLoss/1",
          {.attributes = {{"ignore_index", kIgnored}}, .weights = {{"weight", lm_head_weight}}})) {}

at::Tensor ForCausalLMLoss::forward(const at::Tensor& hidden, const at::Tensor& labels) const {
  const at::Tensor rows = hidden.flatten(0, 1), next = shifted(labels);
  return slot_({rows, next}, [&] { return cross_entropy(at::linear(rows, weight_), next); });
}

at::Tensor ForCausalLMLoss::from_logits(const at::Tensor& logits, const at::Tensor& labels) {
  return cross_entropy(logits.flatten(0, 1), shifted(labels));
}

}  // namespace graft
