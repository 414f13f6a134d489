// RotaryPosEmb: q and k in one pass, half a row against the other half.
#include <graft/contracts/rotary_pos_emb.h>

#include <algorithm>
#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/heads.h"
#include "../common/variant.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

template <class T>
void rotate(const T* x, const T* cos, const T* sin, T* out, int64_t half) {
  for_lanes(half, [&](int64_t i, auto n) {
    const Vec low = load(x + i, n), high = load(x + half + i, n);
    const Vec from_high = zero() - high * load(sin + i, n);
    const Vec from_low = low * load(sin + half + i, n);
    store(out + i, fma(low, load(cos + i, n), from_high), n);
    store(out + half + i, fma(high, load(cos + half + i, n), from_low), n);
  });
}

struct RotaryPosEmb {
  explicit RotaryPosEmb(const Attributes&) {}

  static bool supports(const Attributes&, Arguments arguments) {
    return arguments.tensor(0).size(-1) % 2 == 0;
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor cos, Tensor sin, Tensor q_out,
               Tensor k_out) const {
    const int64_t tokens = q.size(2), dim = q.size(3), q_heads = q.size(1), k_heads = k.size(1);
    if (dim % 2 != 0) throw Unsupported("the head dimension is odd");
    with_dtype(q.dtype(), [&]<class T>(T) {
      const Heads<T> queries(q), keys(k), cosine(cos), sine(sin), queries_out(q_out), keys_out(k_out);
      // A task is all heads of some tokens: a token's cos and sin are read once and stay in the L1 cache.
      const int64_t elements = std::max<int64_t>(1, (q_heads + k_heads) * dim);
      const int64_t grain = std::max<int64_t>(1, 16384 / elements);
      call.parallel_for(q.size(0) * tokens, grain, [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t batch = i / tokens, token = i % tokens;
          const T *c = cosine.row(batch, 0, token), *s = sine.row(batch, 0, token);
          for (int64_t head = 0; head < q_heads; ++head)
            rotate(queries.row(batch, head, token), c, s, queries_out.row(batch, head, token), dim / 2);
          for (int64_t head = 0; head < k_heads; ++head)
            rotate(keys.row(batch, head, token), c, s, keys_out.row(batch, head, token), dim / 2);
        }
      });
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::RotaryPosEmb>("RotaryPosEmb",
                                                                           "rotary_pos_emb/1")))
