#include "device_plan.h"

#include <algorithm>

#include "graft/error.h"

namespace graft {
namespace {

bool is_at_or_above(const std::string& path, const std::string& module) {
  return path.empty() || (module.starts_with(path) && (module.size() == path.size() || module[path.size()] == '.'));
}

[[noreturn]] void refuse(ErrorCode code, const std::string& module, const std::string& why, const std::string& mend) {
  throw Error(code, "device_map, module '" + module + "'", why, mend);
}

}  // namespace

const c10::Device* find_device(const ModuleDevices& devices, const std::string& module) {
  const c10::Device* found = nullptr;
  for (const auto& [path, device] : devices) {  // in their order a longer path comes after those above it
    if (is_at_or_above(path, module)) found = &device;
  }
  return found;
}

int64_t kept_free(int64_t free_bytes) { return std::max(free_bytes / 10, int64_t(1) << 30); }

ModuleDevices fill_devices(const std::vector<ModelPart>& parts, const std::vector<DeviceRoom>& rooms) {
  ModuleDevices devices;
  auto room = rooms.begin();
  int64_t used = 0;
  for (const ModelPart& part : parts) {
    while (room != rooms.end() && used + part.bytes > room->free_bytes - kept_free(room->free_bytes)) ++room, used = 0;
    used += part.bytes;
    devices.emplace(part.module, room != rooms.end() ? room->device : c10::Device(c10::kCPU));
  }
  const auto differs = [&](const auto& each) { return each.second != devices.begin()->second; };
  if (devices.empty() || std::any_of(devices.begin(), devices.end(), differs)) return devices;
  return {{"", devices.begin()->second}};
}

void check_devices(const ModuleDevices& devices, const std::vector<ModelPart>& parts) {
  for (const ModelPart& part : parts) {
    const c10::Device* of_part = nullptr;
    for (const std::string& module : part.modules) {
      const c10::Device* device = find_device(devices, module);
      if (device == nullptr) refuse(ErrorCode::invalid_argument, module, "no path of the map stands at or above it", "add one for it, or \"\" for all that the others leave");
      if (of_part == nullptr) of_part = device;
      if (*device == *of_part) continue;
      refuse(ErrorCode::unsupported, part.module, "a part of it would be on " + of_part->str() + ", and " + module + " on " + device->str(),
             "give all of " + part.module + " one device");
    }
  }
  for (const auto& [path, device] : devices) {
    // transformers has modules of these names, and so its maps do.
    if (path == "lm_head" || path.ends_with("rotary_emb")) continue;
    const bool known = std::any_of(parts.begin(), parts.end(), [&](const ModelPart& part) {
      return std::any_of(part.modules.begin(), part.modules.end(), [&](const std::string& module) { return is_at_or_above(path, module); });
    });
    if (!known) refuse(ErrorCode::invalid_argument, path, "the model has no such module with weights", "write its paths as its weights' names begin: model.layers.0");
  }
}

}  // namespace graft
