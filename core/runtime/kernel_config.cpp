#include "graft/kernel_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "graft/error.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

auto find_fusion(auto& fusions, const LayerKey& key) {
  return std::find_if(fusions.begin(), fusions.end(), [&](const KernelConfig::Pair& each) { return each.first == key; });
}

}  // namespace

KernelConfig::KernelConfig(std::initializer_list<Pair> layers, KernelConfigOptions options) {
  for (const Pair& layer : layers) add(layer, options);
}

void KernelConfig::add(Pair layer, const KernelConfigOptions& options) {
  const std::string what = "kernel mapping of '" + layer.first.str() + "'";
  if (layer.first.str().empty()) throw Error(ErrorCode::invalid_argument, "kernel mapping", "a layer's name is empty");
  for (const LayerMapping::Line& line : layer.second.lines()) {
    if (line.reference.empty()) continue;
    if (KernelRef::parse(line.reference).is_local() && !options.use_local_kernel) {
      throw Error(ErrorCode::invalid_argument, what, "'" + line.reference + "' is a path, and local kernels are off",
                  "give KernelConfig {.use_local_kernel = true}");
    }
  }
  if (layer.first.is_fusion()) {
    if (find_fusion(fusions_, layer.first) != fusions_.end()) throw Error(ErrorCode::invalid_argument, what, "the fusion is named twice");
    fusions_.push_back(std::move(layer));
  } else if (!layers_.emplace(layer.first.layer(), std::move(layer.second)).second) {
    throw Error(ErrorCode::invalid_argument, what, "the layer is named twice");
  }
}

const LayerMapping* KernelConfig::find(const std::string& layer) const {
  const auto found = layers_.find(layer);
  return found != layers_.end() ? &found->second : nullptr;
}

KernelConfig KernelConfig::with(const KernelConfig& other) const {
  KernelConfig merged = *this;
  for (const auto& [layer, mapping] : other.layers_) {
    const auto mine = merged.layers_.find(layer);
    if (mine == merged.layers_.end()) {
      merged.layers_.emplace(layer, mapping);
    } else {
      mine->second = mine->second.with(mapping);
    }
  }
  for (const Pair& fusion : other.fusions_) {
    const auto mine = find_fusion(merged.fusions_, fusion.first);
    if (mine == merged.fusions_.end()) {
      merged.fusions_.push_back(fusion);
    } else {
      mine->second = mine->second.with(fusion.second);
    }
  }
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
      // From compute capability 9.0 on torch's own attention is cuDNN's, which is faster for prompts; in training both are.
      {"attention",
       {{"cpu", "graft-kernels/attention:Attention"},
        {{"cuda", {80, 89}}, "graft-kernels/attention:Attention"},
        {"cuda", {{Mode::Inference, ""}, {Mode::Training, "graft-kernels/attention:Attention"}}}}},
      {"varlen_attention", "graft-kernels/attention:VarlenAttention"},
      {"ForCausalLMLoss", "graft-kernels/loss:ForCausalLMLoss"},
      {"DecoderLayer",
       {{"cpu", {{Mode::Inference, "graft-kernels/decoder:DecoderLayer"}}}, {"cuda", {{Mode::Inference, "graft-kernels/decoder:DecoderLayer"}}}}},
      {"Sampling", {{"cuda", {{Mode::Inference, "graft-kernels/sampling:Sampling"}}}}},
  });
  return config;
}

std::string KernelConfig::json() const {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  const auto put = [&](const std::string& key, const LayerMapping& mapping) {
    nlohmann::ordered_json& list = object[key] = nlohmann::ordered_json::array();
    for (const LayerMapping::Line& line : mapping.lines()) {
      list.push_back({{"device", line.device.kind.empty() ? "*" : line.device.kind}});
      if (line.device.capability) list.back()["capability"] = {line.device.capability->min, line.device.capability->max};
      list.back()["mode"] = name(line.mode);
      list.back()["kernel"] = line.reference;
    }
  };
  for (const auto& [layer, mapping] : layers_) put(layer, mapping);
  for (const auto& [fusion, mapping] : fusions_) put(fusion.str(), mapping);
  return object.dump(2);
}

}  // namespace graft
