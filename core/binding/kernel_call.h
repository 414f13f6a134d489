// KernelCall: what an entry is told of a call beside its arguments, on any device.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <optional>

#include "graft/plugin.h"
#include "graft/thread_pool.h"
#include "scratch.h"

namespace graft {

/// On a device that is the current one: see OnDevice. The call goes onto that device's current stream, and its workspace is of torch's own
/// allocator, which hands the memory out again in the stream's order; on the CPU, the shared thread pool and the thread's scratch.
class KernelCall {
 public:
  /// Throws c10::Error if there is no such device, or not so much memory.
  KernelCall(c10::Device device, size_t workspace);
  KernelCall(const KernelCall&) = delete;

  const graft_call* get() const { return &cpu_.call; }

 private:
  std::optional<Scratch> scratch_;
  c10::DataPtr memory_;
  CpuCall cpu_;
};

/// While it lives, its device is the current one; on the CPU it does nothing.
class OnDevice {
 public:
  explicit OnDevice(c10::Device device) {
    if (!device.is_cpu()) guard_.reset_device(device);
  }

 private:
  c10::OptionalDeviceGuard guard_;
};

/// This thread's, of a device with streams.
inline c10::Stream current_stream(c10::Device device) { return c10::impl::getDeviceGuardImpl(device.type())->getStream(device); }

/// While it lives, what this thread enqueues becomes part of a graph: entries are told so, and those that are not GRAPH_SAFE are not
/// called. For whoever captures; captures inside of one another are not a thing of CUDA's.
class Capturing {
 public:
  Capturing();
  ~Capturing();
  Capturing(const Capturing&) = delete;
  static bool now();
};

/// Compute capability of a CUDA device, "9.0" being 90; 0: unknown, or another kind of device. Asked of the driver once.
int capability_of(c10::Device device);

}  // namespace graft
