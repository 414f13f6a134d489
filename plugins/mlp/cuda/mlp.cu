// The entries of graft-kernels/mlp on CUDA.
#include <graft/contracts/swiglu_mlp.h>

#include "swiglu_mlp.cuh"

GRAFT_PLUGIN(graft::plugin::entry<graft::SwiGLUMLP>("SwiGLUMLP", "SwiGLUMLP/1")
                 .device(GRAFT_DEVICE_CUDA)
                 .capability(80, 999)
                 .dtypes({graft::plugin::bfloat16, graft::plugin::float16, graft::plugin::float32})
                 .flags(GRAFT_ENTRY_GRAPH_SAFE | GRAFT_ENTRY_COMPILE_SAFE | GRAFT_ENTRY_DETERMINISTIC))
