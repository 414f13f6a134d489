#include "launch.cuh"

template void graft::gpu::launch_attention<graft::gpu::half, 64>(const Problem&, uint32_t, Stream);
