#include "cuda_runtime.h"

#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <filesystem>
#include <mutex>
#include <string>

#include "device_graph.h"
#include "graft/error.h"
#include "graft/host_platform.h"

namespace graft {
namespace {

[[noreturn]] void no_cuda(const std::string& why, const std::string& mend) {
  throw Error(ErrorCode::unsupported, "device cuda", why, mend);
}

/// The folder of the library that holds this function.
std::filesystem::path folder_of(void* function) {
  Dl_info info{};
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
}

const CudaServices* services = nullptr;  // set once, under open_cuda()'s mutex

/// Kept open for good. Without it there are no graphs, and all else works.
void open_services() {
  if (services != nullptr) return;
  const std::string library = (folder_of(reinterpret_cast<void*>(&open_cuda)) / "libgraft_cuda.so").string();
  void* opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return;
  const auto get = reinterpret_cast<const CudaServices* (*)()>(dlsym(opened, "graft_cuda_services"));
  if (get != nullptr) services = get();
}

}  // namespace

bool cuda_driver_present() { return HostPlatform::detect().with_device("cuda").cuda.has_value(); }

int open_cuda() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (!cuda_driver_present()) {
    no_cuda("this machine has no NVIDIA driver with a device", "use device_map \"cpu\", or install the driver");
  }
  const std::string library = (folder_of(reinterpret_cast<void*>(&at::detail::getCUDAHooks)) / "libtorch_cuda.so").string();
  // Kept open for the life of the process: its static objects register torch's CUDA side.
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    no_cuda(std::string("LibTorch's CUDA side does not load: ") + dlerror(),
            "install the CUDA libraries that LibTorch's wheel names, or use device_map \"cpu\"");
  }
  if (!at::detail::getCUDAHooks().hasCUDA()) {
    no_cuda("torch was asked for CUDA before Graft opened it, and answers no for the life of the process",
            "load the CUDA model first, or link libtorch_cuda into the program");
  }
  open_services();
  return at::detail::getCUDAHooks().deviceCount();
}

const CudaServices* cuda_services() { return services; }

}  // namespace graft
