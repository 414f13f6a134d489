// A decoder layer's call as its kernels see it.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "../attention/plan.h"
#include "../common/heads.h"
#include "../common/rows.h"
#include "../norm/rms.h"
#include "../rope/rotate.h"

namespace graft {

// Of DecoderLayer/1's arguments.
namespace layer_argument {
enum {
  x,
  input_norm,
  q,
  k,
  v,
  o,
  q_norm,
  k_norm,
  post_norm,
  gate,
  up,
  down,
  cos,
  sin,
  length,
  k_cache,
  v_cache
};
}

struct LayerSizes {
  int64_t batch, tokens, hidden, dim, query_heads, key_heads, inner, capacity;

  LayerSizes(const plugin::Tensor& x, const plugin::Tensor& cache, int64_t query_width, int64_t inner)
      : batch(x.size(0)),
        tokens(x.size(1)),
        hidden(x.size(2)),
        dim(cache.size(3)),
        query_heads(query_width / std::max<int64_t>(1, dim)),
        key_heads(cache.size(1)),
        inner(inner),
        capacity(cache.size(2)) {}

  // Whether the cache is one for these tokens.
  bool cache_fits() const { return dim > 0 && dim % 2 == 0 && key_heads > 0 && tokens <= capacity; }
  // Whether heads and cache fit one another, the tokens, and the rows of the weights of q and k.
  bool fit(int64_t query_width, int64_t key_width) const {
    return cache_fits() && query_heads % key_heads == 0 && attended() == query_width && keys() == key_width;
  }

  int64_t rows() const { return batch * tokens; }
  int64_t group() const { return query_heads / key_heads; }
  int64_t attended() const { return query_heads * dim; }
  int64_t keys() const { return key_heads * dim; }
  int64_t projected() const { return attended() + 2 * keys(); }
};

struct LayerOptions {
  double eps, scale;
  int64_t window;

  explicit LayerOptions(const plugin::Attributes& attributes)
      : eps(attributes.number("eps")),
        scale(attributes.number("scale")),
        window(attributes.integer("sliding_window")) {}
};

template <class T>
struct LayerTensors {
  Rows<const T> x;
  const T *cos, *sin;  // rows of dim, by position
  const int32_t* length;
  Heads<T> k_cache, v_cache;
  T* out;

  LayerTensors(const plugin::Tensor& x, const plugin::Tensor& cos, const plugin::Tensor& sin,
               const plugin::Tensor& length, const plugin::Tensor& k_cache, const plugin::Tensor& v_cache,
               const plugin::Tensor& out)
      : x(x),
        cos(cos.data<T>()),
        sin(sin.data<T>()),
        length(length.data<int32_t>()),
        k_cache(k_cache),
        v_cache(v_cache),
        out(out.data<T>()) {}

  // Tokens that row b has in the cache. Nothing else stands between this number and memory that is not the
  // cache's.
  int64_t past(const LayerSizes& sizes, int64_t b) const {
    return std::clamp<int64_t>(length[b], 0, sizes.capacity - sizes.tokens);
  }
};

// A head's row through its norm, if it has one, and the rotation of its position. `scaled`: room for a row.
template <class T, class N, class R = simd::Real<T>>
void turn_head(const R* row, const N* norm, const LayerSizes& sizes, const LayerOptions& options,
               const LayerTensors<T>& tensors, int64_t position, R* scaled, T* to) {
  if (norm != nullptr) {
    scale_row(row, row_rstd(row, sizes.dim, options.eps), norm, scaled, sizes.dim);
    row = scaled;
  }
  rotate(row, tensors.cos + position * sizes.dim, tensors.sin + position * sizes.dim, to, sizes.dim / 2);
}

// to = a + b
template <class A, class B, class O>
void add_row(const A* a, const B* b, O* to, int64_t count) {
  simd::for_lanes(
      count, [&](int64_t i, auto n) { simd::store(to + i, simd::load(a + i, n) + simd::load(b + i, n), n); });
}

}  // namespace graft
