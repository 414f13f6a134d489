// A chain of kernels, each of which starts while the one before it still runs: what does not depend on that one, weights and past keys,
// is on its way from memory by the time it ends. Source: CUDA C++ Programming Guide, "Programmatic Dependent Launch".
#pragma once

#include <array>
#include <atomic>

#include "portability.h"

namespace graft::gpu {

// The next kernel may start as soon as every block of this one has come here: it waits by itself for what it reads.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Returns when all kernels before this one have ended, and what they wrote can be read. Nothing is written before. Every thread of a
// chained kernel comes here: its end then says that those before it have ended too.
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

#if !defined(__HIP_PLATFORM_AMD__) && !defined(__HIPCC__)
// More than 48 KiB of dynamic shared memory have to be asked for, once for each kernel and device.
template <class... Parameters>
void allow_shared_memory(void (*kernel)(Parameters...), size_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)), "asking for shared memory");
}
#endif

// Whether the current device can start a kernel before the last one's end (compute capability 9.0).
inline bool chains() {
#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
  return false;
#else
  constexpr int kUnknown = 0, kNo = 1, kYes = 2, kMaxDevices = 64;
  static std::array<std::atomic<int>, kMaxDevices> known{};
  int device = 0;
  check(cudaGetDevice(&device), "asking for the device");
  if (device < 0 || device >= kMaxDevices) return false;
  std::atomic<int>& answer = known[size_t(device)];
  if (answer.load(std::memory_order_relaxed) == kUnknown) {
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the compute capability");
    answer.store(major >= 9 ? kYes : kNo, std::memory_order_relaxed);
  }
  return answer.load(std::memory_order_relaxed) == kYes;
#endif
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const Launch& how, Stream stream, bool chained, Arguments&&... arguments) {
#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
  kernel<<<how.grid, dim3(how.threads), how.shared_memory, stream>>>(Parameters(arguments)...);
  check_launch();
#else
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
#endif
}

}  // namespace graft::gpu
