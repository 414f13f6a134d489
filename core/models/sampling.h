// Sampling: from logits to the next token.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace graft {

struct Sampling {
  bool do_sample = false;
  double temperature = 1.0;  // > 0
  int64_t top_k = 0;         // 0: all
  double top_p = 1.0;        // (0, 1]
};

/// logits [B, vocab] → tokens [B] int64. Greedy, or temperature, then top-k, then top-p (nucleus: the fewest most
/// likely tokens whose probabilities reach top_p), then a draw. Source: transformers' logits processors.
at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator);

}  // namespace graft
