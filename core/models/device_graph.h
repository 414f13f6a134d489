// DeviceGraph: work that was captured once and is replayed with one call. What links CUDA to make one stands in a shared object of its own
// (core/cuda), which is opened when a CUDA device is asked for.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace graft {

class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  /// Onto the device's current stream. The same memory is read and written as when it was captured.
  virtual void replay() = 0;
};

/// What libgraft_cuda.so gives; its function graft_cuda_services returns one of static storage.
struct CudaServices {
  /// Runs `work` on a stream of its own without its kernels running, and keeps them. Throws what `work` throws, and c10::Error for what
  /// cannot be captured.
  std::unique_ptr<DeviceGraph> (*capture)(c10::Device device, const std::function<void()>& work);
};

/// Null if libgraft_cuda.so is not there; opened by open_cuda().
const CudaServices* cuda_services();

}  // namespace graft
