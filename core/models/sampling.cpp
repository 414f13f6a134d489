#include "sampling.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <limits>

namespace graft {

at::Tensor next_tokens(const at::Tensor& logits, const Sampling& sampling, at::Generator& generator) {
  if (!sampling.do_sample) return at::argmax(logits, -1);
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  at::Tensor scores = logits.to(at::kFloat) / sampling.temperature;
  if (sampling.top_k > 0 && sampling.top_k < scores.size(-1)) {
    const at::Tensor least = std::get<0>(at::topk(scores, sampling.top_k)).narrow(-1, sampling.top_k - 1, 1);
    scores = scores.masked_fill(scores < least, kNever);
  }
  if (sampling.top_p < 1.0) {
    auto [sorted, order] = at::sort(scores, /*dim=*/-1, /*descending=*/true);
    const at::Tensor probabilities = at::softmax(sorted, -1);
    // A token goes if those more likely than it reach top_p without it; so the first one always stays.
    const at::Tensor before = probabilities.cumsum(-1) - probabilities;
    sorted = sorted.masked_fill(before >= sampling.top_p, kNever);
    scores = scores.scatter(-1, order, sorted);
  }
  return at::multinomial(at::softmax(scores, -1), 1, /*replacement=*/false, generator).squeeze(-1);
}

}  // namespace graft
