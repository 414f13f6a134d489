// The entries of graft-kernels/mlp on a GPU.
#include <graft/contracts/swiglu_mlp.h>

#include "activations.cuh"
#include "swiglu_mlp.cuh"

namespace {

using graft::gpu::for_gpu;
using graft::plugin::entry;

}  // namespace

GRAFT_PLUGIN(for_gpu(entry<graft::SwiGLUMLP>("SwiGLUMLP", "SwiGLUMLP/1")).flags(GRAFT_ENTRY_DETERMINISTIC),
             for_gpu(entry<graft::SiLU>("SiLU", "SiLU/1")).flags(GRAFT_ENTRY_DETERMINISTIC),
             for_gpu(entry<graft::SiluAndMul>("SiluAndMul", "SiluAndMul/1")).flags(GRAFT_ENTRY_DETERMINISTIC))
