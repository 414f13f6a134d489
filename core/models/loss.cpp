#include "loss.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>

namespace graft {
namespace {

constexpr int64_t kIgnored = -100;

}  // namespace

ForCausalLMLoss::ForCausalLMLoss(const at::Tensor& lm_head_weight)
    : weight_(lm_head_weight),
      slot_(register_kernel_layer(
          *this, "ForCausalLMLoss/1",
          {.attributes = {{"ignore_index", kIgnored}}, .weights = {{"weight", lm_head_weight}}})) {}

// Labels move rather than logits, as in transformers: those would be copied.
at::Tensor ForCausalLMLoss::next_tokens(const at::Tensor& labels, const at::Tensor& mask) {
  const at::Tensor next = at::constant_pad_nd(labels.narrow(1, 1, labels.size(1) - 1), {0, 1}, kIgnored);
  return mask.defined() ? next.masked_fill(mask.logical_not(), kIgnored) : next;
}

at::Tensor ForCausalLMLoss::forward(const at::Tensor& hidden, const at::Tensor& next) const {
  return slot_({hidden, next}, [&] { return from_logits(at::linear(hidden, weight_), next); });
}

at::Tensor ForCausalLMLoss::from_logits(const at::Tensor& logits, const at::Tensor& next) {
  const at::Tensor precise = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  return at::cross_entropy_loss(precise, next, {}, at::Reduction::Mean, kIgnored);
}

}  // namespace graft
