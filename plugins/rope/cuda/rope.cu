// RotaryPosEmb on a GPU: queries and keys in one launch. Backward turns the gradients back: it is the transposed rotation.
#include <graft/contracts/rotary_pos_emb.h>

#include "../../common/heads.h"
#include "rotate.cuh"

namespace graft {
namespace {

using namespace plugin;

template <class T>
gpu::Turned<T> turned(const Tensor& from, const Tensor& to) {
  return {Heads<const T>(from), Heads<T>(to), from.size(1)};
}

struct RotaryPosEmb {
  explicit RotaryPosEmb(const Attributes&) {}

  static bool supports(const Attributes&, Arguments arguments) { return arguments.tensor(kQ).size(-1) % 2 == 0; }

  void forward(const Call& call, Tensor q, Tensor k, Tensor cos, Tensor sin, Tensor q_out, Tensor k_out) const {
    if (q.size(3) % 2 != 0) throw Unsupported("the head dimension is odd");
    gpu::with_dtype(q.dtype(), [&](auto of) {
      using T = decltype(of);
      gpu::rotate_heads<false>(gpu::gpu_stream(call), gpu::Rotation<T>{{turned<T>(q, q_out), turned<T>(k, k_out)},
                                                                       Heads<const T>(cos),
                                                                       Heads<const T>(sin),
                                                                       q.size(0),
                                                                       q.size(2),
                                                                       q.size(3),
                                                                       0});
    });
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    const auto needed = [&](int index) { return (needs >> index & 1) != 0; };
    // Theirs would take q and k, which the contract does not keep.
    if (needed(kCos) || needed(kSin)) throw Unsupported("cos and sin get no gradients");
    const Tensor cos = arguments.tensor(kCos), sin = arguments.tensor(kSin);
    gpu::with_dtype(cos.dtype(), [&](auto of) {
      using T = decltype(of);
      const gpu::Turned<T> nothing{Heads<const T>(cos), Heads<T>(cos), 0};
      gpu::Rotation<T> rotation{{nothing, nothing}, Heads<const T>(cos), Heads<const T>(sin), 0, cos.size(1), cos.size(2), 0};
      int count = 0;
      for (int index = kQ; index <= kK; ++index) {
        if (!needed(index)) continue;
        const Tensor to = grad_inputs.tensor(index);
        if (grad_outputs.has(index)) {
          rotation.turned[count++] = turned<T>(grad_outputs.tensor(index), to);
          rotation.batch = to.size(0);
        } else {
          gpu::clear(gpu::gpu_stream(call), to.data<T>(), size_t(to.numel()) * sizeof(T));
        }
      }
      if (count > 0) gpu::rotate_heads<true>(gpu::gpu_stream(call), rotation);
    });
  }

 private:
  enum { kQ, kK, kCos, kSin };
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_gpu(graft::plugin::entry<graft::RotaryPosEmb>("RotaryPosEmb", "rotary_pos_emb/1"))
                 .flags(GRAFT_ENTRY_DETERMINISTIC))
