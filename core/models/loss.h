// The loss of a causal language model, as a layer of its own: so that a kernel can be bound onto it.
#pragma once

#include <torch/nn/module.h>

#include "graft/kernel_slot.h"

namespace graft {

/// Mean cross entropy of the next token. Source: transformers' ForCausalLMLoss. Has no parameter of its own:
/// it shares lm_head's weight, which may be the embedding's.
class ForCausalLMLoss : public torch::nn::Module {
 public:
  /// lm_head_weight [V, H].
  explicit ForCausalLMLoss(const at::Tensor& lm_head_weight);

  /// What each token predicts: labels [B, T] int64, not shifted, → [B, T], -100 (ignored) for each row's last. mask [B, T] bool,
  /// undefined if all tokens are real: padding predicts nothing.
  static at::Tensor next_tokens(const at::Tensor& labels, const at::Tensor& mask);

  /// From hidden states [N, H], which lm_head has not seen, and what they predict, [N] int64, -100: ignored. Returns a float32
  /// scalar (float64 for float64), NaN if no label counts. A kernel never holds all logits; the own forward does.
  at::Tensor forward(const at::Tensor& hidden, const at::Tensor& next) const;

  /// The same from logits [N, V] that are there already.
  static at::Tensor from_logits(const at::Tensor& logits, const at::Tensor& next);

 private:
  at::Tensor weight_;
  KernelSlot slot_;
};

}  // namespace graft
