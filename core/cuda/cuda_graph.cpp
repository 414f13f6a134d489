// CUDA graphs by way of torch's, whose allocator keeps a graph's memory apart for as long as the graph lives.
#include <cuda_runtime_api.h>  // before torch's, which take it as given

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "device_graph.h"

namespace graft {
namespace {

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(c10::Device device, const std::function<void()>& work) : device_(device) {
    const c10::cuda::CUDAGuard on_its_device(device);
    // Never the default stream, which cannot be captured. What ran before is waited for there and here.
    const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
    c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
    const c10::cuda::CUDAStreamGuard on_it(stream);
    // Other threads may allocate meanwhile.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_quietly();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override {
    const c10::cuda::CUDAGuard on_its_device(device_);
    graph_.replay();
  }

 private:
  void end_quietly() noexcept {
    try {
      graph_.capture_end();
    } catch (...) {  // what `work` threw says more
    }
  }

  c10::Device device_;
  at::cuda::CUDAGraph graph_;
};

std::unique_ptr<DeviceGraph> capture(c10::Device device, const std::function<void()>& work) {
  return std::make_unique<CudaGraph>(device, work);
}

constexpr CudaServices services = {capture};

}  // namespace

extern "C" __attribute__((visibility("default"))) const CudaServices* graft_cuda_services() { return &services; }

}  // namespace graft
