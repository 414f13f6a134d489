// What a stream's capture forbids, allowed where it does no harm.
#pragma once

#include "portability.h"

namespace graft::gpu {

// While it lives, this thread may do what a capture of any stream forbids otherwise: the first use of a library on a
// device, or of a shape, allocates and loads code. None of that is work on the stream being captured.
class RelaxedCapture {
 public:
  RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace graft::gpu
