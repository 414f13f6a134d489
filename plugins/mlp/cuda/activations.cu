// The MLP's activations alone, for ROCm: products want a library that it has under another name.
#include "activations.cuh"

GRAFT_PLUGIN(
    graft::gpu::for_gpu(graft::plugin::entry<graft::SiLU>("SiLU", "SiLU/1")).flags(GRAFT_ENTRY_DETERMINISTIC),
    graft::gpu::for_gpu(graft::plugin::entry<graft::SiluAndMul>("SiluAndMul", "SiluAndMul/1")).flags(GRAFT_ENTRY_DETERMINISTIC))
