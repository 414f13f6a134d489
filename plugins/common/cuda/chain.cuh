// A chain of kernels, each of which starts while the one before it still runs: what does not depend on that one, weights and past keys,
// is on its way from memory by the time it ends. Source: CUDA C++ Programming Guide, "Programmatic Dependent Launch".
#pragma once

#include "portability.h"

namespace graft::gpu {

// The next kernel may start as soon as every block of this one has come here: it waits by itself for what it reads.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Returns when all kernels before this one have ended, and what they wrote can be read. Nothing is written before.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

struct Launch {
  dim3 grid;
  unsigned threads;
  size_t shared_memory = 0;  // bytes
  unsigned cluster = 1;      // blocks, along x
};

// `chained`: whether the device can start a kernel before the last one's end (compute capability 9.0).
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const Launch& how, Stream stream, bool chained, Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = how.grid;
  config.blockDim = dim3(how.threads);
  config.dynamicSmemBytes = how.shared_memory;
  config.stream = stream;
  config.attrs = attributes;
  if (chained) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (how.cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs].val.clusterDim.x = how.cluster;
    attributes[config.numAttrs].val.clusterDim.y = 1;
    attributes[config.numAttrs++].val.clusterDim.z = 1;
  }
  check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "launch");
}

}  // namespace graft::gpu
