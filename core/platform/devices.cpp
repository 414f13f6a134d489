// What there is besides the CPU, asked without making a context on any device.
#include <boost/dll/shared_library.hpp>
#include <fstream>

#include "graft/host_platform.h"
#include "variant_name.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

// From cuda.h, whose ABI is stable: CUresult is an int with 0 for success, CUdevice an int.
constexpr int kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76;

/// Through libcuda.so.1, so that a host without it runs all the same.
std::optional<HostPlatform::Cuda> ask_cuda_driver() {
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
#ifdef GRAFT_LIBTORCH_CUDA
  if (auto runtime = ShortVersion::parse(GRAFT_LIBTORCH_CUDA)) cuda.runtime = runtime->major * 1000 + runtime->minor * 10;
#endif
  return cuda;
}

/// "6.4" of "6.4.1-120"; empty if it is none.
std::string shortened(const std::string& text) {
  auto version = ShortVersion::parse(text);
  return version ? version->str() : "";
}

}  // namespace

std::string find_rocm(const fs::path& root) {
  std::string text;
  std::ifstream(root / "opt/rocm/.info/version") >> text;
  return shortened(text);
}

std::string find_oneapi(const fs::path& root) {
  std::error_code error;
  // "latest" is a link to the folder that is named by its version.
  return shortened(fs::read_symlink(root / "opt/intel/oneapi/compiler/latest", error).filename().string());
}

HostPlatform HostPlatform::with_device(std::string_view kind) const {
  HostPlatform platform = *this;
  auto wanted = [&](std::string_view device) { return kind == device || kind.empty(); };
  if (wanted("cuda")) {
    static const std::optional<Cuda> found = ask_cuda_driver();
    platform.cuda = found;
  }
  if (wanted("rocm")) platform.rocm = find_rocm("/");
  if (wanted("xpu")) platform.xpu = find_oneapi("/");
  return platform;
}

}  // namespace graft
