#include "sampling.h"

#include <ATen/ops/add.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>
#include <vector>

#include "alone.h"
#include "graft/error.h"

namespace graft {
namespace {

struct Token {
  double probability;
  int64_t id;
};

/// A row of scores, of which only those parts are looked at that hold what is asked for.
class Row {
 public:
  static constexpr int64_t kPart = 64;

  /// largest: of each part, the last of which may be shorter.
  Row(const float* scores, int64_t vocab, const float* largest) : scores_(scores), vocab_(vocab), largest_(largest, largest + parts(vocab)) {}
  static int64_t parts(int64_t vocab) { return (vocab + kPart - 1) / kPart; }

  float largest() const { return *std::max_element(largest_.begin(), largest_.end()); }

  /// The k-th largest score, k at most the number of them. So many parts as have it or more have as many scores.
  float kth(int64_t k) const {
    float least = -std::numeric_limits<float>::infinity();
    if (k <= int64_t(largest_.size())) least = nth_largest(largest_, k);
    std::vector<float> some;
    each_from(least, [&](float score, int64_t) { some.push_back(score); });
    return nth_largest(std::move(some), k);
  }

  /// Those with at least `lowest`, in the order of their ids. Of probabilities that are exp(score - log_total).
  std::vector<Token> from(float lowest, double log_total) const {
    std::vector<Token> tokens;
    each_from(lowest, [&](float score, int64_t id) { tokens.push_back({std::exp(score - log_total), id}); });
    return tokens;
  }

 private:
  static float nth_largest(std::vector<float> values, int64_t n) {
    std::nth_element(values.begin(), values.begin() + n - 1, values.end(), std::greater<float>());
    return values[size_t(n) - 1];
  }
  template <class Body>
  void each_from(float lowest, const Body& body) const {
    for (size_t part = 0; part < largest_.size(); ++part) {
      if (!(largest_[part] >= lowest)) continue;
      const int64_t begin = int64_t(part) * kPart, end = std::min(begin + kPart, vocab_);
      for (int64_t id = begin; id < end; ++id)
        if (scores_[id] >= lowest) body(scores_[id], id);
    }
  }

  const float* scores_;
  int64_t vocab_;
  std::vector<float> largest_;
};

/// [B, vocab] → [B, parts], NaN where there is one.
at::Tensor largest_of_parts(const at::Tensor& scores) {
  const int64_t rows = scores.size(0), vocab = scores.size(1), whole = vocab / Row::kPart;
  std::vector<at::Tensor> parts = {at::amax(scores.narrow(1, 0, whole * Row::kPart).unflatten(1, {whole, Row::kPart}), -1)};
  if (whole * Row::kPart < vocab) parts.push_back(at::amax(scores.narrow(1, whole * Row::kPart, vocab - whole * Row::kPart), -1, /*keepdim=*/true));
  return whole == 0 ? parts.back() : at::cat(parts, 1).view({rows, Row::parts(vocab)});
}

double sum_of(const std::vector<Token>& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), 0.0, [](double sum, const Token& token) { return sum + token.probability; });
}

/// The fewest of the most likely that reach `needed`; of equally likely ones those with lower ids.
void keep_nucleus(std::vector<Token>& tokens, double needed) {
  std::stable_sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) { return a.probability > b.probability; });
  double sum = 0;
  size_t kept = 0;
  while (kept < tokens.size() && (kept == 0 || sum < needed)) sum += tokens[kept++].probability;
  tokens.resize(kept);
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) { return a.id < b.id; });
}

/// What top-k and top-p leave of a row. The whole vocabulary is not sorted for top-p: mostly a few tokens reach it, so that likely
/// ones alone are looked at first. log_total: of all scores' exponentials, for top-p alone.
std::vector<Token> tokens_left(const Row& row, int64_t vocab, double log_total, const Sampling& sampling) {
  if (sampling.top_k > 0 && sampling.top_k < vocab) {
    std::vector<Token> tokens = row.from(row.kth(sampling.top_k), row.largest());
    if (sampling.top_p < 1.0) keep_nucleus(tokens, sampling.top_p * sum_of(tokens));
    return tokens;
  }
  for (double least = 1e-3;; least *= 1e-2) {
    std::vector<Token> tokens = row.from(float(std::log(least) + log_total), log_total);
    // Below that all are there that have a probability.
    if (sum_of(tokens) >= sampling.top_p || least < 1e-40) {
      keep_nucleus(tokens, sampling.top_p);
      return tokens;
    }
  }
}

/// Where in a row's sums a number in [0, 1) falls. Below the total even when rounded, so that what has no probability is never found.
at::Tensor find(const at::Tensor& sums, const at::Tensor& total, const at::Tensor& uniform) {
  return at::searchsorted(sums, uniform * (total * (1 - 1e-12)), /*out_int32=*/false, /*right=*/true);
}

/// The token of a row in whose share of the sum a number in [0, 1) falls.
int64_t find(const std::vector<Token>& tokens, double uniform) {
  const double place = uniform * sum_of(tokens);
  double sum = 0;
  for (const Token& token : tokens) {
    sum += token.probability;
    if (place < sum) return token.id;
  }
  return tokens.back().id;
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

at::Tensor next_tokens_on_device(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& uniform) {
  if (!sampling.do_sample) return most_likely_on_device(logits);
  at::Tensor scores = logits.to(at::kFloat) / sampling.temperature;
  if (sampling.top_k > 0 && sampling.top_k < logits.size(-1)) {
    const at::Tensor kth = std::get<0>(at::topk(scores, sampling.top_k)).narrow(-1, sampling.top_k - 1, 1);
    scores.masked_fill_(scores < kth, -std::numeric_limits<float>::infinity());
  }
  at::Tensor probabilities = at::softmax(scores, -1);
  if (sampling.top_p < 1.0) {  // the whole vocabulary sorted: the host need not know how many reach it
    auto [likely, ids] = at::sort(probabilities, /*stable=*/true, -1, /*descending=*/true);
    likely.masked_fill_(likely.cumsum(-1) - likely >= sampling.top_p, 0);
    probabilities.scatter_(-1, ids, likely);
  }
  const at::Tensor sums = probabilities.cumsum(-1, at::kDouble), total = sums.narrow(-1, sums.size(-1) - 1, 1);
  const at::Tensor tokens = find(sums, total, uniform.unsqueeze(-1)).clamp_max(probabilities.size(-1) - 1);
  return tokens.masked_fill(at::isfinite(total).logical_not(), -1).squeeze(-1);
}

// Uniform numbers for all rows at once. torch's multinomial would draw one for each token of the vocabulary.
at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator) {
  const Alone alone(logits.is_cpu());
  if (!sampling.do_sample) return most_likely(logits);
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  const bool top_k = sampling.top_k > 0 && sampling.top_k < vocab;
  const at::Tensor scores = (logits.to(at::kFloat) / sampling.temperature).contiguous();
  const auto uniform_for = [&](const at::Tensor& finite) {
    if (!at::isfinite(finite).all().item<bool>()) throw logits_are_no_numbers();
    return at::rand({rows, 1}, generator, at::kDouble);
  };
  if (!top_k && sampling.top_p >= 1.0) {
    const at::Tensor sums = at::softmax(scores, -1).cumsum(-1, at::kDouble), total = sums.narrow(-1, vocab - 1, 1);
    return find(sums, total, uniform_for(total)).squeeze(-1);
  }
  const at::Tensor parts = largest_of_parts(scores), largest = at::amax(parts, -1);
  const at::Tensor log_totals = top_k ? at::Tensor() : (scores - largest.unsqueeze(-1)).exp_().sum(-1).log_().add_(largest);
  const at::Tensor uniform = uniform_for(top_k ? largest : log_totals);
  at::Tensor tokens = at::empty({rows}, at::kLong);
  for (int64_t b = 0; b < rows; ++b) {
    const Row row(scores.const_data_ptr<float>() + b * vocab, vocab, parts.const_data_ptr<float>() + b * Row::parts(vocab));
    const double log_total = top_k ? 0 : double(log_totals.const_data_ptr<float>()[b]);
    tokens.mutable_data_ptr<int64_t>()[b] = find(tokens_left(row, vocab, log_total, sampling), uniform.const_data_ptr<double>()[b]);
  }
  return tokens;
}

}  // namespace graft
