// DecoderLayer by its definition, in double precision.
#pragma once

#include <graft/contracts/decoder_layer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "harness.h"

namespace graft::test::decoder_layer {

enum {
  kX,
  kInputNorm,
  kQ,
  kK,
  kV,
  kO,
  kQNorm,
  kKNorm,
  kPostNorm,
  kGate,
  kUp,
  kDown,
  kCos,
  kSin,
  kLength,
  kKCache,
  kVCache,
  kOut
};

inline constexpr double kEps = 1e-5;

struct Shape {
  int64_t tokens = 1, hidden = 48, query_heads = 4, key_heads = 2, dim = 16, inner = 72, capacity = 40;
  std::vector<int64_t> lengths = {5};  // one for each row of the batch
  int64_t window = 0;
  bool head_norms = true;

  int64_t batch() const { return int64_t(lengths.size()); }
  std::string text() const {
    std::string text = std::to_string(tokens) + " tokens, " + std::to_string(query_heads) + "/" +
                       std::to_string(key_heads) + " heads of " + std::to_string(dim) + ", window " +
                       std::to_string(window) + (head_norms ? ", norms" : "") + ", lengths";
    for (int64_t length : lengths) text += " " + std::to_string(length);
    return text;
  }
};

// All arguments; what the caches hold beyond a row's length is NaN.
struct Layer {
  Shape shape;
  std::vector<Array> arrays;

  Layer(graft_dtype dtype, const Shape& s, bool exact, bool gaps = false) : shape(s) {
    const int64_t queries = s.query_heads * s.dim, keys = s.key_heads * s.dim;
    const auto weight = [&](int64_t columns, int64_t depth) {
      const auto seed = uint32_t(arrays.size());
      const double scale = 1 / std::sqrt(double(std::max<int64_t>(1, depth)));
      arrays.push_back(exact ? whole_weight(dtype, columns, depth, seed, scale)
                             : Array(dtype, {columns, depth}).random(seed, -scale, scale));
    };
    const auto norm = [&](int64_t size) {
      arrays.push_back(Array(dtype, {size}).random(uint32_t(arrays.size()), 0.5, 1.5));
    };
    arrays.push_back(Array(dtype, {s.batch(), s.tokens, s.hidden}).random(99));
    norm(s.hidden);
    weight(queries, s.hidden), weight(keys, s.hidden), weight(keys, s.hidden), weight(s.hidden, queries);
    norm(s.dim), norm(s.dim), norm(s.hidden);
    weight(s.inner, s.hidden), weight(s.inner, s.hidden), weight(s.hidden, s.inner);
    for (int i = 0; i < 2; ++i) {
      arrays.push_back(Array(dtype, {s.capacity, s.dim}));
      for (int64_t at = 0; at < arrays.back().numel(); ++at) {
        const double angle = double(at / s.dim) / double(1 + at % s.dim % (s.dim / 2));
        arrays.back().set(at, i == 0 ? std::cos(angle) : std::sin(angle));
      }
    }
    arrays.push_back(int32s(s.lengths));
    for (int i = 0; i < 2; ++i) {
      const std::vector<int64_t> sizes = {s.batch(), s.key_heads, s.capacity, s.dim};
      Array cache = gaps ? Array::with_gaps(dtype, sizes, 3) : Array(dtype, sizes);
      const Array values = Array(dtype, sizes).random(uint32_t(70 + i), -2, 2);
      for (int64_t at = 0; at < cache.numel(); ++at) {
        const int64_t position = at / s.dim % s.capacity, b = at / (s.dim * s.capacity * s.key_heads);
        cache.set(
            at, position < s.lengths[size_t(b)] ? values.get(at) : std::numeric_limits<double>::quiet_NaN());
      }
      arrays.push_back(std::move(cache));
    }
    arrays.push_back(Array(dtype, {s.batch(), s.tokens, s.hidden}));
  }

  std::vector<graft_value> arguments() const {
    std::vector<graft_value> values;
    for (const Array& array : arrays) values.push_back(array.value());
    if (!shape.head_norms) values[kQNorm] = values[kKNorm] = none();
    return values;
  }

  using Row = std::vector<double>;
  Row times(const Row& x, int weight) const {
    const Array& w = arrays[size_t(weight)];
    Row out;
    for (int64_t column = 0; column < w.shape()[0]; ++column) {
      double sum = 0;
      for (size_t k = 0; k < x.size(); ++k) sum += x[k] * w.get(column * int64_t(x.size()) + int64_t(k));
      out.push_back(sum);
    }
    return out;
  }
  Row normed(const Row& x, int norm) const {
    double squares = 0;
    for (double value : x) squares += value * value;
    Row out;
    for (size_t i = 0; i < x.size(); ++i)
      out.push_back(x[i] / std::sqrt(squares / double(x.size()) + kEps) *
                    arrays[size_t(norm)].get(int64_t(i)));
    return out;
  }
  // Heads one by one through their norm and rotation.
  Row turned(const Row& heads, int norm, int64_t position) const {
    Row out;
    const int64_t dim = shape.dim;
    for (size_t first = 0; first < heads.size(); first += size_t(dim)) {
      Row head(heads.begin() + long(first), heads.begin() + long(first) + dim);
      if (shape.head_norms) head = normed(head, norm);
      for (int64_t i = 0; i < dim; ++i) {
        const double other = i < dim / 2 ? -head[size_t(i + dim / 2)] : head[size_t(i - dim / 2)];
        out.push_back(head[size_t(i)] * arrays[kCos].get(position * dim + i) +
                      other * arrays[kSin].get(position * dim + i));
      }
    }
    return out;
  }

  // out, and what both caches hold at the end.
  struct Expected {
    Row out;
    Row caches[2];
  };
  Expected expected() const {
    Expected e;
    for (int i = 0; i < 2; ++i)
      for (int64_t at = 0; at < arrays[size_t(kKCache + i)].numel(); ++at)
        e.caches[i].push_back(arrays[size_t(kKCache + i)].get(at));
    for (int64_t b = 0; b < shape.batch(); ++b)
      for (int64_t token = 0; token < shape.tokens; ++token) one(b, token, e);
    return e;
  }

 private:
  void one(int64_t b, int64_t token, Expected& e) const {
    const int64_t position = shape.lengths[size_t(b)] + token, dim = shape.dim;
    Row x;
    for (int64_t i = 0; i < shape.hidden; ++i)
      x.push_back(arrays[kX].get((b * shape.tokens + token) * shape.hidden + i));
    const Row in = normed(x, kInputNorm);
    const Row q = turned(times(in, kQ), kQNorm, position), k = turned(times(in, kK), kKNorm, position),
              v = times(in, kV);
    const auto place = [&](int64_t head, int64_t at) {
      return size_t(((b * shape.key_heads + head) * shape.capacity + at) * dim);
    };
    for (int64_t head = 0; head < shape.key_heads; ++head) {
      std::copy_n(k.begin() + head * dim, dim, e.caches[0].begin() + long(place(head, position)));
      std::copy_n(v.begin() + head * dim, dim, e.caches[1].begin() + long(place(head, position)));
    }
    Row attended;
    for (int64_t head = 0; head < shape.query_heads; ++head) {
      const int64_t key_head = head / (shape.query_heads / shape.key_heads);
      const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
      Row weights;
      for (int64_t at = first; at <= position; ++at) {
        double score = 0;
        for (int64_t d = 0; d < dim; ++d)
          score += q[size_t(head * dim + d)] * e.caches[0][place(key_head, at) + size_t(d)];
        weights.push_back(score / std::sqrt(double(dim)));
      }
      const double peak = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - peak);
      for (int64_t d = 0; d < dim; ++d) {
        double sum = 0;
        for (size_t i = 0; i < weights.size(); ++i)
          sum += weights[i] / total * e.caches[1][place(key_head, first + int64_t(i)) + size_t(d)];
        attended.push_back(sum);
      }
    }
    const Row o = times(attended, kO);
    for (size_t i = 0; i < x.size(); ++i) x[i] += o[i];
    const Row second = normed(x, kPostNorm);
    Row gate = times(second, kGate);
    const Row up = times(second, kUp);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    const Row down = times(gate, kDown);
    for (size_t i = 0; i < x.size(); ++i) e.out.push_back(x[i] + down[i]);
  }
};

}  // namespace graft::test::decoder_layer
