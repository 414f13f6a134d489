#include "machine_name.h"

#include <filesystem>
#include <fstream>

namespace graft::bench {
namespace {

/// The rest of the file's first line that begins with `key`, after its colon; "" if there is none.
std::string value_of(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == line.npos ? "" : line.substr(value);
  }
  return "";
}

/// "" unless the driver's devices are all of one model.
std::string cuda_model() {
  std::string model;
  std::error_code error;
  for (const auto& device : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    const std::string name = value_of(device.path() / "information", "Model");
    if (!model.empty() && name != model) return "";
    model = name;
  }
  return model;
}

}  // namespace

std::string machine_name(c10::Device device) {
  std::string name = device.is_cpu() ? value_of("/proc/cpuinfo", "model name") : cuda_model();
  return name.empty() ? c10::DeviceTypeName(device.type(), /*lower_case=*/true) : name;
}

}  // namespace graft::bench
