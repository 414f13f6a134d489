// Where a model's weights go and in which dtype, in users' words.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <vector>

#include "device_plan.h"
#include "graft/device_map.h"

namespace torch::nn {
class Module;
}

namespace graft {

/// "float32", "bfloat16", "float16"; none for "auto". Throws Error(invalid_argument).
std::optional<at::ScalarType> parse_dtype(const std::string& text);

/// "cpu", "cuda", "cuda:1", or "auto", the first GPU if there is a driver with one. Opens LibTorch's CUDA
/// side for a GPU, and nothing of CUDA for "cpu". Throws Error: invalid_argument, unsupported as open_cuda().
c10::Device parse_device(const std::string& text);

/// The devices that the map's words name; none for "auto" on a machine with GPUs, which asks for sizes first. Opens CUDA and throws
/// as parse_device().
std::optional<ModuleDevices> parse_device_map(const DeviceMap& map);

/// What of a model lies on one device as a whole, in the order in which it runs. Its weights may be on the meta device.
std::vector<ModelPart> parts_of(const torch::nn::Module& model);

/// device_map = "auto" where open_cuda() has found GPUs: asks each for its free memory, if those before it do not hold all.
ModuleDevices auto_devices(const std::vector<ModelPart>& parts);

}  // namespace graft
