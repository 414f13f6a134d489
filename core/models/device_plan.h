// Which module of a model lies on which device: decided from paths, sizes and free memory alone.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace graft {

/// Devices by the paths of modules; the longest path at or above a module wins, "" stands above all.
using ModuleDevices = std::map<std::string, c10::Device>;

/// Null if no path stands at or above `module`.
const c10::Device* find_device(const ModuleDevices& devices, const std::string& module);

/// What lies on one device as a whole: a decoder layer, or one of the modules around them.
struct ModelPart {
  std::string module;                      // "model.layers.0"
  int64_t bytes = 0;                       // of its weights
  std::vector<std::string> modules = {};   // those at and below it that have weights
};

/// What a device has room for.
struct DeviceRoom {
  c10::Device device;
  int64_t free_bytes;
};

/// What of a GPU's free memory is left to activations and the KV cache: 10 %, and at least 1 GiB.
int64_t kept_free(int64_t free_bytes);

/// device_map = "auto": fills `rooms` one after another with the parts in their order; from the first that fits none of those left
/// on, all is on the CPU. Where one device takes all, its path is "".
ModuleDevices fill_devices(const std::vector<ModelPart>& parts, const std::vector<DeviceRoom>& rooms);

/// Throws Error for a map that does not fit the model: invalid_argument where a module has no device, or a path no module;
/// unsupported where a part is on two devices.
void check_devices(const ModuleDevices& devices, const std::vector<ModelPart>& parts);

}  // namespace graft
