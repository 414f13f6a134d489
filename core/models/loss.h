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

  /// From hidden states [B, T, H], which lm_head has not seen, and labels [B, T] int64, not shifted, -100:
  /// ignored. Returns a float32 scalar (float64 for float64), NaN if no label counts. A kernel never holds
  /// all logits; the own forward does.
  at::Tensor forward(const at::Tensor& hidden, const at::Tensor& labels) const;

  /// The same from logits [B, T, V] that are there already.
  static at::Tensor from_logits(const at::Tensor& logits, const at::Tensor& labels);

 private:
  at::Tensor weight_;
  KernelSlot slot_;
};

}  // namespace graft
