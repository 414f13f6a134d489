// Attention by its definition, in double precision.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "harness.h"

namespace graft::test {

inline constexpr double kInf = std::numeric_limits<double>::infinity();

struct Options {
  double scale = 0.125;
  bool causal = true;
  int64_t window = 0;
  double softcap = 0;
  std::string text() const {
    return std::string(causal ? " causal" : " full") + " window " + std::to_string(window) + " softcap " +
           std::to_string(softcap);
  }
};

struct Sizes {
  int64_t batch, query_heads, key_heads, queries, keys, dim, value_dim;
  std::string text() const {
    std::string all;
    for (int64_t n : {batch, query_heads, key_heads, queries, keys, dim, value_dim})
      all += std::to_string(n) + " ";
    return all;
  }
};

struct Expected {
  std::vector<double> out, lse;
};

inline Expected reference(const Sizes& n, const Options& o, const Array& q, const Array& k, const Array& v,
                          const Array* mask) {
  Expected e;
  e.out.resize(size_t(n.batch * n.queries * n.query_heads * n.value_dim));
  const auto seen = [&](int64_t b, int64_t h, int64_t t, int64_t s) {
    const int64_t position = n.keys - n.queries + t;
    if ((o.causal && s > position) || (o.window > 0 && position - s > o.window - 1)) return false;
    if (mask == nullptr) return true;
    const std::vector<int64_t>& m = mask->shape();
    return mask->get((((m[0] == 1 ? 0 : b) * m[1] + (m[1] == 1 ? 0 : h)) * m[2] + (m[2] == 1 ? 0 : t)) *
                         m[3] +
                     s) != 0;
  };
  for (int64_t b = 0; b < n.batch; ++b)
    for (int64_t h = 0; h < n.query_heads; ++h)
      for (int64_t t = 0; t < n.queries; ++t) {
        const int64_t key_row = (b * n.key_heads + h / (n.query_heads / n.key_heads)) * n.keys;
        std::vector<double> scores(size_t(n.keys), -kInf);
        double peak = -kInf, total = 0;
        for (int64_t s = 0; s < n.keys; ++s) {
          if (!seen(b, h, t, s)) continue;
          double score = 0;
          for (int64_t d = 0; d < n.dim; ++d)
            score += q.get(((b * n.query_heads + h) * n.queries + t) * n.dim + d) *
                     k.get((key_row + s) * n.dim + d);
          score *= o.scale;
          if (o.softcap > 0) score = o.softcap * std::tanh(score / o.softcap);
          scores[size_t(s)] = score;
          peak = std::isnan(score) ? score : std::max(peak, score);
        }
        for (double score : scores) total += score == -kInf ? 0 : std::exp(score - peak);
        for (int64_t d = 0; d < n.value_dim; ++d) {
          double sum = 0;
          for (int64_t s = 0; s < n.keys; ++s)
            if (scores[size_t(s)] != -kInf)
              sum += std::exp(scores[size_t(s)] - peak) * v.get((key_row + s) * n.value_dim + d);
          e.out[size_t(((b * n.queries + t) * n.query_heads + h) * n.value_dim + d)] =
              peak == -kInf ? 0 : sum / total;
        }
        e.lse.push_back(peak == -kInf ? -kInf : peak + std::log(total));
      }
  return e;
}

}  // namespace graft::test
