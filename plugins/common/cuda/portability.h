// CUDA's names where HIP has others, so that a kernel is written once for both.
#pragma once

#include <graft/plugin.hpp>
#include <stdexcept>
#include <string>

#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
#include <hip/hip_bfloat16.h>
#include <hip/hip_fp16.h>
#include <hip/hip_runtime.h>
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

namespace graft::gpu {

#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
using bf16 = hip_bfloat16;
using half = ::__half;
using Stream = hipStream_t;
inline constexpr int kDeviceType = GRAFT_DEVICE_ROCM;
inline constexpr int kWarp = 64;
#else
using bf16 = __nv_bfloat16;
using half = ::__half;
using Stream = cudaStream_t;
inline constexpr int kDeviceType = GRAFT_DEVICE_CUDA;
inline constexpr int kWarp = 32;
#endif

inline Stream gpu_stream(const plugin::Call& call) { return static_cast<Stream>(call.stream()); }

// body(T{}) with T = float, bf16 or half.
template <class Body>
void with_dtype(graft_dtype dtype, const Body& body) {
  if (plugin::same(dtype, plugin::float32)) return body(float{});
  if (plugin::same(dtype, plugin::bfloat16)) return body(bf16{});
  if (plugin::same(dtype, plugin::float16)) return body(half{});
  throw plugin::Unsupported("dtype is none of float32, bfloat16 and float16");
}

// After a launch: throws if the launch itself was refused. What goes wrong while it runs shows at a later call.
inline void check_launch() {
#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
  const hipError_t error = hipGetLastError();
  if (error != hipSuccess) throw std::runtime_error(std::string("launch failed: ") + hipGetErrorString(error));
#else
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) throw std::runtime_error(std::string("launch failed: ") + cudaGetErrorString(error));
#endif
}

}  // namespace graft::gpu
