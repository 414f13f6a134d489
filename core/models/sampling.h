// Sampling: from logits to the next token.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "graft/error.h"

namespace graft {

struct Sampling {
  bool do_sample = false;
  double temperature = 1.0;  // > 0
  int64_t top_k = 0;         // 0: all
  double top_p = 1.0;        // (0, 1]

  bool operator==(const Sampling&) const = default;
};

/// logits [B, vocab] → tokens [B] int64. Greedy, or temperature, then top-k, then top-p (nucleus: the fewest most likely tokens whose
/// probabilities reach top_p), then a draw among what is left, in the order of ids. Throws Error(invalid_argument) for a row to draw
/// from whose logits are no numbers. Source: transformers' logits processors, ties at the end of top-k included.
at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator);

/// The same on a device with streams, without waiting for it. `uniform` [B] float64 in [0, 1) decides the draw; undefined if greedy.
/// -1 for a row to draw from whose logits are no numbers.
at::Tensor next_tokens_on_device(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& uniform);

/// What such rows are told.
Error logits_are_no_numbers();

}  // namespace graft
