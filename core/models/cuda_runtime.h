// CUDA is opened when asked for: a host on CPU links libtorch_cpu and libc10 alone.
#pragma once

namespace graft {

/// Opens libtorch_cuda beside libtorch_cpu, unless the host linked it; must happen before anything asks torch whether
/// CUDA is there. Returns the number of devices. Throws Error(unsupported): no driver or device, a LibTorch without
/// CUDA, or opened too late.
int open_cuda();

/// Whether a driver with a device is there, without opening LibTorch's CUDA side.
bool cuda_driver_present();

}  // namespace graft
