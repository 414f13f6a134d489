// The kernels for one dtype and head dimension, each pair compiled in a file of its own.
#pragma once

#include "../../common/cuda/portability.h"
#include "problem.h"

namespace graft::gpu {

// T: bf16 or half. D, of queries, keys and values: 64 or 128. Enqueues; throws if a launch is refused.
template <class T, int D>
void launch_attention(const Problem& problem, uint32_t tile, Stream stream);

extern template void launch_attention<bf16, 64>(const Problem&, uint32_t, Stream);
extern template void launch_attention<bf16, 128>(const Problem&, uint32_t, Stream);
extern template void launch_attention<half, 64>(const Problem&, uint32_t, Stream);
extern template void launch_attention<half, 128>(const Problem&, uint32_t, Stream);

}  // namespace graft::gpu
