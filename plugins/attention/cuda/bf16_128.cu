#include "launch.cuh"

template void graft::gpu::launch_attention<graft::gpu::bf16, 128>(const Problem&, uint32_t, Stream);
