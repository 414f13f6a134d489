#include "sampling.h"

#include <ATen/ops/add.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "alone.h"
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

struct Token {
  float probability;
  int64_t id;
};

/// Of a row of scores those tokens whose probabilities are at least `least`, or no numbers, in the order of their ids.
std::vector<Token> tokens_above(double least, const float* scores, int64_t vocab, float log_total) {
  const float lowest = float(std::log(least)) + log_total;
  std::vector<Token> tokens;
  for (int64_t id = 0; id < vocab; ++id) {
    if (!(scores[id] < lowest)) tokens.push_back({std::exp(scores[id] - log_total), id});
  }
  return tokens;
}

/// The fewest of the whole vocabulary that reach `top_p`. It is not sorted for them: they mostly are a few hundred, each with a
/// probability of some 1e-5 and more.
Candidates nucleus_of_all(const at::Tensor& all_scores, double top_p) {
  const at::Tensor scores = all_scores.contiguous(), log_totals = at::logsumexp(scores, -1);
  const int64_t rows = scores.size(0), vocab = scores.size(1);
  std::vector<std::vector<Token>> likely;
  for (int64_t row = 0; row < rows; ++row) {
    const float* of_row = scores.const_data_ptr<float>() + row * vocab;
    const float log_total = log_totals.const_data_ptr<float>()[row];
    std::vector<Token> tokens;
    for (double least = 1e-5;; least *= 1e-3) {
      tokens = tokens_above(least, of_row, vocab, log_total);
      double sum = 0;
      for (const Token& token : tokens) sum += token.probability;
      if (sum >= top_p || least < 1e-40) break;  // below that all are there that have a probability
    }
    std::stable_sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) { return a.probability > b.probability; });
    likely.push_back(std::move(tokens));
  }
  size_t most = 1;
  for (const auto& tokens : likely) most = std::max(most, tokens.size());
  Candidates found = {at::zeros({rows, int64_t(most)}, at::kFloat), at::zeros({rows, int64_t(most)}, at::kLong)};
  for (size_t row = 0; row < likely.size(); ++row) {
    for (size_t i = 0; i < likely[row].size(); ++i) {
      found.probabilities.mutable_data_ptr<float>()[row * most + i] = likely[row][i].probability;
      found.ids.mutable_data_ptr<int64_t>()[row * most + i] = likely[row][i].id;
    }
  }
  return {nucleus(found.probabilities, top_p), found.ids};
}

Candidates candidates(const at::Tensor& logits, const Sampling& sampling) {
  const auto scaled = [&](const at::Tensor& some) {
    const at::Tensor scores = some.to(at::kFloat);
    return sampling.temperature == 1.0 ? scores : scores / sampling.temperature;
  };
  if (sampling.top_k > 0 && sampling.top_k < logits.size(-1)) {
    const auto [likely, ids] = at::topk(logits, sampling.top_k);  // the same ones at any temperature
    const at::Tensor probabilities = at::softmax(scaled(likely), -1);
    return {sampling.top_p < 1.0 ? nucleus(probabilities, sampling.top_p) : probabilities, ids};
  }
  const at::Tensor scores = scaled(logits);
  if (sampling.top_p < 1.0) return nucleus_of_all(scores, sampling.top_p);
  return {at::softmax(scores, -1), {}};  // undefined ids: all, in their order
}

/// Where in a row's sums a number in [0, 1) falls. Below the total even when rounded, so that what has no probability is never found.
at::Tensor find(const at::Tensor& sums, const at::Tensor& total, const at::Tensor& uniform) {
  return at::searchsorted(sums, uniform * (total * (1 - 1e-12)), /*out_int32=*/false, /*right=*/true);
}

/// One place in each row, in proportion to its value. torch's multinomial would draw a number for each token of the vocabulary.
at::Tensor draw(const at::Tensor& probabilities, at::Generator& generator) {
  const at::Tensor sums = probabilities.cumsum(-1, at::kDouble);
  const at::Tensor total = sums.narrow(-1, sums.size(-1) - 1, 1);
  if (!at::isfinite(total).all().item<bool>()) throw logits_are_no_numbers();
  return find(sums, total, at::rand(total.sizes(), generator, total.options()));
}

/// argmax(logits, -1): the first of the largest, or the first NaN. On a CPU found by torch's amax, which is vectorised: argmax takes
/// ten times as long for a row of 49152, and a greater share of a token than all else between two steps.
at::Tensor most_likely(const at::Tensor& logits) {
  if (!logits.is_cpu() || logits.scalar_type() == at::kDouble) return at::argmax(logits, -1);
  const at::Tensor scores = logits.to(at::kFloat).contiguous(), best = at::amax(scores, -1);
  at::Tensor tokens = at::empty(best.sizes(), best.options().dtype(at::kLong));
  const int64_t vocab = scores.size(-1);
  for (int64_t row = 0; row < tokens.numel(); ++row) {
    const float* begin = scores.const_data_ptr<float>() + row * vocab;
    const float largest = best.const_data_ptr<float>()[row];
    const float* found = std::isnan(largest) ? std::find_if(begin, begin + vocab, [](float x) { return std::isnan(x); })
                                             : std::find(begin, begin + vocab, largest);
    tokens.mutable_data_ptr<int64_t>()[row] = found - begin;
  }
  return tokens;
}

/// As candidates(), sorting the whole vocabulary for top-p: the host need not know how many there are.
Candidates candidates_on_device(const at::Tensor& logits, const Sampling& sampling) {
  const bool few = sampling.top_k > 0 && sampling.top_k < logits.size(-1);
  if (!few && sampling.top_p >= 1.0) return {at::softmax(logits.to(at::kFloat) / sampling.temperature, -1), {}};
  const auto [likely, ids] = few ? at::topk(logits, sampling.top_k) : at::sort(logits, -1, /*descending=*/true);
  const at::Tensor probabilities = at::softmax(likely.to(at::kFloat) / sampling.temperature, -1);
  return {sampling.top_p < 1.0 ? nucleus(probabilities, sampling.top_p) : probabilities, ids};
}

}  // namespace

Error logits_are_no_numbers() {
  return Error(ErrorCode::invalid_argument, "logits", "they hold NaN or infinity, so that no token can be drawn",
               "check the weights and their dtype");
}

/// argmax in two steps, where the vocabulary can be cut into so many parts: torch's gives a row to few processors of a device.
at::Tensor most_likely_on_device(const at::Tensor& logits) {
  constexpr int64_t kParts = 128;
  const int64_t vocab = logits.size(-1);
  if (vocab % kParts != 0) return at::argmax(logits, -1);
  const auto [best, places] = logits.contiguous().view({logits.size(0), kParts, vocab / kParts}).max(-1);
  const at::Tensor part = best.argmax(-1, /*keepdim=*/true);
  return at::add(places.gather(-1, part), part, vocab / kParts).squeeze(-1);
}

at::Tensor next_tokens_on_device(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& uniform, at::Tensor& bad) {
  if (!sampling.do_sample) return most_likely_on_device(logits);
  const auto [probabilities, ids] = candidates_on_device(logits, sampling);
  const at::Tensor sums = probabilities.cumsum(-1, at::kDouble), total = sums.narrow(-1, sums.size(-1) - 1, 1);
  bad = at::isfinite(total).logical_not().sum().unsqueeze(0);
  const at::Tensor place = find(sums, total, uniform).clamp_max(probabilities.size(-1) - 1);
  return (ids.defined() ? ids.gather(-1, place) : place).squeeze(-1);
}

at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator) {
  const Alone alone(logits.is_cpu());
  if (!sampling.do_sample) return most_likely(logits);
  const auto [probabilities, ids] = candidates(logits, sampling);
  const at::Tensor place = draw(probabilities, generator);
  return (ids.defined() ? ids.gather(-1, place) : place).squeeze(-1);
}

}  // namespace graft
