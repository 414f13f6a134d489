// What the CUDA driver says, asked through libcuda.so.1 so that a host without it runs all the same.
#include <boost/dll/shared_library.hpp>

#include "graft/host_platform.h"

namespace graft {
namespace {

// From cuda.h, whose ABI is stable: CUresult is an int with 0 for success, CUdevice an int.
constexpr int kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76;

std::optional<HostPlatform::Cuda> ask_driver() {
  namespace dll = boost::dll;
  static dll::shared_library driver;  // stays open: the driver starts threads of its own
  boost::dll::fs::error_code error;
  driver.load("libcuda.so.1", error, dll::load_mode::search_system_folders | dll::load_mode::rtld_now);
  if (error) return std::nullopt;
  for (const char* name : {"cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGetAttribute"})
    if (!driver.has(name)) return std::nullopt;

  HostPlatform::Cuda cuda;
  int count = 0;
  if (driver.get<int(unsigned)>("cuInit")(0) != 0 ||
      driver.get<int(int*)>("cuDriverGetVersion")(&cuda.driver) != 0 ||
      driver.get<int(int*)>("cuDeviceGetCount")(&count) != 0 || count == 0)
    return std::nullopt;
  auto attribute = driver.get<int(int*, int, int)>("cuDeviceGetAttribute");
  for (int device = 0; device < count; ++device) {
    int major = 0, minor = 0;
    if (attribute(&major, kComputeCapabilityMajor, device) != 0 ||
        attribute(&minor, kComputeCapabilityMinor, device) != 0)
      return std::nullopt;
    cuda.capabilities.push_back(std::to_string(major) + "." + std::to_string(minor));
  }
  return cuda;
}

}  // namespace

HostPlatform HostPlatform::with_cuda() const {
  static const std::optional<Cuda> found = ask_driver();
  HostPlatform platform = *this;
  if (found) platform.cuda = found;
  return platform;
}

}  // namespace graft
