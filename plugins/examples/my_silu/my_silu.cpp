// The smallest kernel in C++: a class with forward, and one line that registers it.
#include <graft/contracts/silu.h>

#include <cmath>
#include <graft/plugin.hpp>

using namespace graft::plugin;

struct MySiLU {
  explicit MySiLU(const Attributes&) {}
  void forward(const Call& call, Tensor x, Tensor out) const {
    call.parallel_for(x.numel(), 4096, [&](int64_t begin, int64_t end, uint32_t) {
      const float* from = x.data<float>();
      for (int64_t i = begin; i < end; ++i) out.data<float>()[i] = from[i] / (1 + std::exp(-from[i]));
    });
  }
};

GRAFT_PLUGIN(entry<MySiLU>("MySiLU", "SiLU/1"))
