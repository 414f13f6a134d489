// RotaryPosEmb: q and k in one pass, half a row against the other half. Backward turns the gradients back: it
// is the transposed rotation.
#include <graft/contracts/rotary_pos_emb.h>

#include <algorithm>
#include <graft/plugin.hpp>
#include <span>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/heads.h"
#include "../common/variant.h"
#include "rotate.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

// The gradient of x: low and high part ways as in rotate, each with the factors that led from it.
template <class T>
void rotate_back(const T* grad, const T* cos, const T* sin, T* out, int64_t half) {
  for_lanes(half, [&](int64_t i, auto n) {
    const VecOf<T> low = load(grad + i, n), high = load(grad + half + i, n);
    const VecOf<T> from_high = high * load(sin + half + i, n);
    const VecOf<T> from_low = broadcast(Real<T>{0}) - low * load(sin + i, n);
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
    if (q.size(3) % 2 != 0) throw Unsupported("the head dimension is odd");
    with_dtype(q.dtype(), [&]<class T>(T) {
      const Turn<T> turns[] = {{Heads<T>(q), Heads<T>(q_out), q.size(1)},
                               {Heads<T>(k), Heads<T>(k_out), k.size(1)}};
      for_tokens<T>(call, q.size(0), cos, sin, turns, [](auto... rows) { rotate(rows...); });
    });
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    // Theirs would take q and k, which the contract does not keep.
    if (needed(needs, kCos) || needed(needs, kSin)) throw Unsupported("cos and sin get no gradients");
    const Tensor cos = arguments.tensor(kCos), sin = arguments.tensor(kSin);
    with_dtype(cos.dtype(), [&]<class T>(T) {
      for (int i : {kQ, kK}) {
        if (!needed(needs, i)) continue;
        const Tensor to = grad_inputs.tensor(i);
        if (!grad_outputs.has(i)) {
          clear(wanted<T>(grad_inputs, needs, i));
          continue;
        }
        const Turn<T> turns[] = {{Heads<T>(grad_outputs.tensor(i)), Heads<T>(to), to.size(1)}};
        for_tokens<T>(call, to.size(0), cos, sin, turns, [](auto... rows) { rotate_back(rows...); });
      }
    });
  }

 private:
  enum { kQ, kK, kCos, kSin };

  template <class T>
  struct Turn {
    Heads<T> from, to;
    int64_t heads;
  };

  // turn(from, cos, sin, to, half) for each row. A task is all heads of some tokens: a token's cos and sin
  // are read once and stay in the L1 cache.
  template <class T, class Rotate>
  static void for_tokens(const Call& call, int64_t batch, const Tensor& cos, const Tensor& sin,
                         std::span<const Turn<T>> turns, const Rotate& turn) {
    const Heads<T> cosine(cos), sine(sin);
    const int64_t tokens = cos.size(1), dim = cos.size(2);
    int64_t heads = 0;
    for (const Turn<T>& each : turns) heads += each.heads;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, heads * dim));
    call.parallel_for(batch * tokens, grain, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t place = i / tokens, token = i % tokens;
        const T *c = cosine.row(place, 0, token), *s = sine.row(place, 0, token);
        for (const Turn<T>& each : turns)
          for (int64_t head = 0; head < each.heads; ++head)
            turn(each.from.row(place, head, token), c, s, each.to.row(place, head, token), dim / 2);
      }
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::RotaryPosEmb>("RotaryPosEmb",
                                                                           "rotary_pos_emb/1")))
