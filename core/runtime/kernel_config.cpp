#include "graft/kernel_config.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "graft/error.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

/// "mps" is another name for "metal".
std::string canonical_device(const std::string& device) {
  constexpr std::array<std::string_view, 9> known = {"", "cpu", "cuda", "rocm", "metal", "xpu", "npu", "neuron", "tpu"};
  const std::string name = device == "mps" ? "metal" : device;
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw Error(ErrorCode::invalid_argument, "device '" + device + "' in a kernel mapping", "there is no such device",
                "use cpu, cuda, rocm, metal (or mps), xpu, npu, neuron or tpu");
  }
  return name;
}

}  // namespace

LayerMapping::LayerMapping(std::initializer_list<std::pair<const std::string, std::string>> by_device) {
  for (const auto& [device, reference] : by_device) {
    const std::string name = canonical_device(device);
    if (!by_device_.emplace(name, reference).second) {
      throw Error(ErrorCode::invalid_argument, "kernel mapping", "the device '" + name + "' is named twice");
    }
  }
}

const std::string* LayerMapping::find(const std::string& device) const {
  const auto found = by_device_.find(canonical_device(device));
  if (found != by_device_.end()) return &found->second;
  const auto any = by_device_.find("");
  return any != by_device_.end() ? &any->second : nullptr;
}

KernelConfig::KernelConfig(std::initializer_list<Pair> layers, KernelConfigOptions options) {
  for (const Pair& layer : layers) add(layer, options);
}

void KernelConfig::add(Pair layer, const KernelConfigOptions& options) {
  const std::string what = "kernel mapping of '" + layer.first + "'";
  if (layer.first.empty()) throw Error(ErrorCode::invalid_argument, "kernel mapping", "a layer's name is empty");
  for (const auto& [device, reference] : layer.second.by_device()) {
    if (reference.empty()) continue;
    if (KernelRef::parse(reference).is_local() && !options.use_local_kernel) {
      throw Error(ErrorCode::invalid_argument, what, "'" + reference + "' is a path, and local kernels are off",
                  "give KernelConfig {.use_local_kernel = true}");
    }
  }
  if (!layers_.insert(std::move(layer)).second) {
    throw Error(ErrorCode::invalid_argument, what, "the layer is named twice");
  }
}

const LayerMapping* KernelConfig::find(const std::string& layer) const {
  const auto found = layers_.find(layer);
  return found != layers_.end() ? &found->second : nullptr;
}

KernelConfig KernelConfig::with(const KernelConfig& other) const {
  KernelConfig merged = *this;
  for (const auto& [layer, mapping] : other.layers_) merged.layers_.insert_or_assign(layer, mapping);
  return merged;
}

const KernelConfig& KernelConfig::defaults() {
  static const KernelConfig config({
      {"RMSNorm", "graft-kernels/norm:RMSNorm"},
      {"AddRMSNorm", "graft-kernels/norm:AddRMSNorm"},
      {"SwiGLUMLP", "graft-kernels/mlp:SwiGLUMLP"},
      {"SiLU", "graft-kernels/mlp:SiLU"},
      {"Linear", "graft-kernels/linear:Linear"},
      {"rotary_pos_emb", "graft-kernels/rope:RotaryPosEmb"},
      {"attention", "graft-kernels/attention:Attention"},
  });
  return config;
}

}  // namespace graft
