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

inline Stream gpu_stream(const plugin::Call& call) {
  return static_cast<Stream>(call.stream());
}

// body(T{}) with T = float, bf16 or half.
template <class Body>
void with_dtype(graft_dtype dtype, const Body& body) {
  if (plugin::same(dtype, plugin::float32)) return body(float{});
  if (plugin::same(dtype, plugin::bfloat16)) return body(bf16{});
  if (plugin::same(dtype, plugin::float16)) return body(half{});
  throw plugin::Unsupported("dtype is none of float32, bfloat16 and float16");
}

#if defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
using Error = hipError_t;
inline constexpr Error kSuccess = hipSuccess;
inline Error last_error() {
  return hipGetLastError();
}
inline const char* describe(Error error) {
  return hipGetErrorString(error);
}
inline bool lost(Error error) {
  return error == hipErrorIllegalAddress || error == hipErrorLaunchFailure || error == hipErrorLaunchTimeOut ||
         error == hipErrorAssert || error == hipErrorECCNotCorrectable;
}
inline Error copy_async(void* to, const void* from, size_t bytes, Stream stream) {
  return hipMemcpyAsync(to, from, bytes, hipMemcpyDeviceToDevice, stream);
}
inline Error clear_async(void* to, size_t bytes, Stream stream) {
  return hipMemsetAsync(to, 0, bytes, stream);
}
inline Error count_multiprocessors(int* count) {
  int device = 0;
  const Error error = hipGetDevice(&device);
  return error == kSuccess ? hipDeviceGetAttribute(count, hipDeviceAttributeMultiprocessorCount, device) : error;
}
#else
using Error = cudaError_t;
inline constexpr Error kSuccess = cudaSuccess;
inline Error last_error() {
  return cudaGetLastError();
}
inline const char* describe(Error error) {
  return cudaGetErrorString(error);
}
inline bool lost(Error error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}
inline Error copy_async(void* to, const void* from, size_t bytes, Stream stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
inline Error clear_async(void* to, size_t bytes, Stream stream) {
  return cudaMemsetAsync(to, 0, bytes, stream);
}
inline Error count_multiprocessors(int* count) {
  int device = 0;
  const Error error = cudaGetDevice(&device);
  return error == kSuccess ? cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device) : error;
}
#endif

inline void check(Error error, const char* what) {
  if (error == kSuccess) return;
  const std::string message = std::string(what) + " failed: " + describe(error);
  if (lost(error)) throw plugin::DeviceLost(message);
  throw std::runtime_error(message);
}

// After a launch: throws if the launch itself was refused. What goes wrong while it runs shows at a later call.
inline void check_launch() {
  check(last_error(), "launch");
}

inline void copy(Stream stream, void* to, const void* from, size_t bytes) {
  if (bytes > 0) check(copy_async(to, from, bytes, stream), "copy on the device");
}
inline void clear(Stream stream, void* to, size_t bytes) {
  if (bytes > 0) check(clear_async(to, bytes, stream), "clearing memory");
}

// Of the current device.
inline int multiprocessors() {
  int count = 0;
  check(count_multiprocessors(&count), "asking for the number of multiprocessors");
  return count;
}

// What all entries of the first-party GPU kernels have in common: float32, bfloat16 and float16, and no wait for the device.
inline plugin::Entry for_gpu(plugin::Entry entry) {
#if !defined(__HIP_PLATFORM_AMD__) && !defined(__HIPCC__)
  entry.capability(80, 999);
#endif
  return entry.device(kDeviceType)
      .dtypes({plugin::bfloat16, plugin::float16, plugin::float32})
      .flags(GRAFT_ENTRY_GRAPH_SAFE | GRAFT_ENTRY_COMPILE_SAFE);
}

}  // namespace graft::gpu
