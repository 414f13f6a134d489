// Sampling: the next token of each row, see sample.cuh.
#include <graft/contracts/sampling.h>

#include <algorithm>

#include "sample.cuh"

namespace graft {
namespace {

using namespace plugin;

struct Sampling {
  int processors = gpu::multiprocessors();

  explicit Sampling(const Attributes&) {
    gpu::allow_shared_memory(gpu::sample<float>, gpu::kHistogramBytes);
    gpu::allow_shared_memory(gpu::sample<gpu::bf16>, gpu::kHistogramBytes);
    gpu::allow_shared_memory(gpu::sample<gpu::half>, gpu::kHistogramBytes);
  }

  static bool supports(const Attributes&, Arguments arguments) {
    const Tensor logits = arguments.tensor(0);
    return logits.size(1) > 0 && logits.size(1) <= gpu::kMostTokens && logits.size(0) <= 65535;
  }

  void forward(const Call& call, Tensor logits, Tensor uniform, Tensor temperature, Tensor top_k, Tensor top_p, Tensor tokens) const {
    const int64_t rows = logits.size(0);
    if (rows == 0) return;
    // As many blocks for a row as keep every processor busy; one where there are no clusters.
    const bool clusters = gpu::chains();
    unsigned blocks = clusters ? 8 : 1;
    while (blocks > 1 && int64_t(blocks) * rows > 2 * processors) blocks /= 2;
    gpu::with_dtype(logits.dtype(), [&](auto of) {
      using T = decltype(of);
      const gpu::Sample<T> sample{logits.data<T>(),     logits.stride(0),        int(logits.size(1)),    uniform.data<double>(),
                                  temperature.data<double>(), top_k.data<int64_t>(), top_p.data<double>(), tokens.data<int64_t>()};
      const gpu::Launch how{dim3(blocks, unsigned(rows)), gpu::kSampleThreads, gpu::kHistogramBytes, blocks};
      gpu::launch(gpu::sample<T>, how, gpu::gpu_stream(call), clusters, sample);
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_gpu(graft::plugin::entry<graft::Sampling>("Sampling", "Sampling/1")).flags(GRAFT_ENTRY_DETERMINISTIC))
