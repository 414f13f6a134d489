#include "placement.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <string_view>

#include "cuda_runtime.h"
#include "graft/error.h"

namespace graft {
namespace {

/// "model.layers.7.mlp.up_proj" → "model.layers.7"; other modules are parts of their own.
std::string part_of(const std::string& module) {
  constexpr std::string_view kLayers = "model.layers.";
  return module.starts_with(kLayers) ? module.substr(0, module.find('.', kLayers.size())) : module;
}

/// By torch's general interface to devices: no library of CUDA's is linked for it.
DeviceRoom room_of(c10::Device device) {
  at::globalContext().lazyInitDevice(device.type());
  c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(device.type());
  const auto [free, total] = allocator.getMemoryInfo(device.index());
  // What torch keeps of tensors that are gone is no other process's to take.
  const auto stats = allocator.getDeviceStats(device.index());
  constexpr auto kAll = size_t(c10::CachingAllocator::StatType::AGGREGATE);
  return {device, int64_t(free) + stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current};
}

}  // namespace

std::optional<at::ScalarType> parse_dtype(const std::string& text) {
  if (text == "auto") return std::nullopt;
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16") return at::kHalf;
  throw Error(ErrorCode::invalid_argument, "dtype '" + text + "'", "there is no such dtype",
              "use auto, float32, bfloat16 or float16");
}

c10::Device parse_device(const std::string& text) {
  if (text == "cpu") return c10::kCPU;
  if (text == "auto" && !cuda_driver_present()) return c10::kCPU;
  if (text == "auto" || text == "cuda" || text.starts_with("cuda:")) {
    const std::string index = text.starts_with("cuda:") ? text.substr(5) : "0";
    if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "the index is not a number",
                  "use cuda:0");
    }
    const int devices = open_cuda(), device = std::stoi(index);
    if (device >= devices) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'",
                  "this machine has " + std::to_string(devices) + " CUDA device(s)");
    }
    return {c10::kCUDA, c10::DeviceIndex(device)};
  }
  throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "there is no such device",
              "use auto, cpu, cuda or cuda:N");
}

std::optional<ModuleDevices> parse_device_map(const DeviceMap& map) {
  ModuleDevices devices;
  for (const auto& [path, word] : map.modules()) {
    if (word == "auto" && map.modules().size() == 1 && path.empty()) {
      if (!cuda_driver_present()) return ModuleDevices{{"", c10::kCPU}};
      open_cuda();
      return std::nullopt;
    }
    if (word == "auto") {
      throw Error(ErrorCode::invalid_argument, "device_map, module '" + path + "'", "'auto' is for the whole model alone",
                  "name a device, or use .device_map = \"auto\"");
    }
    devices.emplace(path, parse_device(word));
  }
  return devices;
}

std::vector<ModelPart> parts_of(const torch::nn::Module& model) {
  std::vector<ModelPart> parts;
  for (const auto& parameter : model.named_parameters()) {
    const std::string module = parameter.key().substr(0, parameter.key().rfind('.'));
    if (const std::string part = part_of(module); parts.empty() || parts.back().module != part) parts.push_back({.module = part});
    ModelPart& part = parts.back();
    part.bytes += int64_t(parameter.value().nbytes());
    if (part.modules.empty() || part.modules.back() != module) part.modules.push_back(module);
  }
  return parts;
}

ModuleDevices auto_devices(const std::vector<ModelPart>& parts) {
  const int count = open_cuda();
  std::vector<DeviceRoom> rooms;
  ModuleDevices devices = fill_devices(parts, rooms);
  const auto on_cpu = [](const auto& each) { return each.second.is_cpu(); };
  for (int next = 0; next < count && std::any_of(devices.begin(), devices.end(), on_cpu); ++next) {
    rooms.push_back(room_of({c10::kCUDA, c10::DeviceIndex(next)}));
    devices = fill_devices(parts, rooms);
  }
  return devices;
}

}  // namespace graft
