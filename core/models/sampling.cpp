#include "sampling.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <tuple>

#include "graft/error.h"

namespace graft {
namespace {

/// Tokens that may be drawn, the most likely first: their probabilities [B, n] and ids [B, n].
struct Candidates {
  at::Tensor probabilities, ids;
};

/// A token goes if those more likely than it reach `top_p` without it; so the first one always stays.
at::Tensor nucleus(const at::Tensor& probabilities, double top_p) {
  return probabilities.masked_fill(probabilities.cumsum(-1) - probabilities >= top_p, 0);
}

/// The fewest of the whole vocabulary that reach `top_p`. It is not sorted for them: they mostly are a few hundred.
Candidates nucleus_of_all(const at::Tensor& scores, double top_p) {
  const at::Tensor log_total = at::logsumexp(scores, -1, /*keepdim=*/true);
  const int64_t vocab = scores.size(-1);
  for (int64_t count = std::min<int64_t>(vocab, 256);; count = std::min(vocab, 8 * count)) {
    const auto [likely, ids] = at::topk(scores, count);
    const at::Tensor probabilities = (likely - log_total).exp();
    if (count == vocab || probabilities.sum(-1).min().item<float>() >= top_p) return {nucleus(probabilities, top_p), ids};
  }
}

Candidates candidates(const at::Tensor& logits, const Sampling& sampling) {
  const auto scaled = [&](const at::Tensor& some) { return some.to(at::kFloat) / sampling.temperature; };
  if (sampling.top_k > 0 && sampling.top_k < logits.size(-1)) {
    const auto [likely, ids] = at::topk(logits, sampling.top_k);  // the same ones at any temperature
    const at::Tensor probabilities = at::softmax(scaled(likely), -1);
    return {sampling.top_p < 1.0 ? nucleus(probabilities, sampling.top_p) : probabilities, ids};
  }
  const at::Tensor scores = scaled(logits);
  if (sampling.top_p < 1.0) return nucleus_of_all(scores, sampling.top_p);
  return {at::softmax(scores, -1), {}};  // undefined ids: all, in their order
}

/// One place in each row, in proportion to its value. torch's multinomial would draw a number for each token of the vocabulary.
at::Tensor draw(const at::Tensor& probabilities, at::Generator& generator) {
  const at::Tensor sums = probabilities.cumsum(-1, at::kDouble);
  const at::Tensor total = sums.narrow(-1, sums.size(-1) - 1, 1);
  if (!at::isfinite(total).all().item<bool>()) {
    throw Error(ErrorCode::invalid_argument, "logits", "they hold NaN or infinity, so that no token can be drawn",
                "check the weights and their dtype");
  }
  // Below the total even when rounded, so that what has no probability is never found.
  const at::Tensor at = at::rand(total.sizes(), generator, total.options()) * (total * (1 - 1e-12));
  return at::searchsorted(sums, at, /*out_int32=*/false, /*right=*/true);
}

}  // namespace

at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator) {
  if (!sampling.do_sample) return at::argmax(logits, -1);
  const auto [probabilities, ids] = candidates(logits, sampling);
  const at::Tensor place = draw(probabilities, generator);
  return (ids.defined() ? ids.gather(-1, place) : place).squeeze(-1);
}

}  // namespace graft
