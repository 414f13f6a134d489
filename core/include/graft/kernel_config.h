// KernelConfig: which kernel for which layer.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graft/layer_key.h"
#include "graft/mode.h"

namespace graft {

/// Compute capabilities as major * 10 + minor, both ends included: {75, 89} is 7.5 to 8.9.
struct CapabilityRange {
  int min = 0;
  int max = 0;
  bool operator==(const CapabilityRange&) const = default;
};

/// A device that a mapping names: "cpu", "cuda", "rocm", "metal" (or "mps"), "xpu", "npu", "neuron" or "tpu"; of cuda and rocm
/// perhaps those of some capabilities alone. "": all devices.
struct MappedDevice {
  MappedDevice(const char* kind) : MappedDevice(std::string(kind)) {}
  MappedDevice(std::string kind) : kind(std::move(kind)) {}
  MappedDevice(std::string kind, CapabilityRange capability) : kind(std::move(kind)), capability(capability) {}

  std::string kind;
  std::optional<CapabilityRange> capability = {};

  bool operator==(const MappedDevice&) const = default;
};

/// References by mode; one without a mode is Mode::Fallback's, for every mode that has none of its own.
class ModeMapping {
 public:
  ModeMapping(const char* reference) : by_mode_{{Mode::Fallback, reference}} {}
  ModeMapping(std::string reference) : by_mode_{{Mode::Fallback, std::move(reference)}} {}
  ModeMapping(std::initializer_list<std::pair<const Mode, std::string>> by_mode) : by_mode_(by_mode.begin(), by_mode.end()) {}

  const std::vector<std::pair<Mode, std::string>>& by_mode() const { return by_mode_; }

 private:
  std::vector<std::pair<Mode, std::string>> by_mode_;
};

/// What one layer name is mapped to; the reference "" disables the layer.
///   "kernels-community/liger_kernels:LigerRMSNorm"
///   {{"cuda", "kernels-community/liger_kernels:LigerRMSNorm"}, {"cpu", "graft-kernels/norm:RMSNorm"}}
///   {{"cuda", {{Mode::Inference, "org/fast:Norm"}, {Mode::Training, "org/exact:Norm"}}}}
///   {{{"cuda", {75, 89}}, "org/turing:Norm"}, {{"cuda", {90, 90}}, "org/hopper:Norm"}, {"cuda", "org/any:Norm"}}
class LayerMapping {
 public:
  struct Line {
    MappedDevice device;
    Mode mode;
    std::string reference;

    bool operator==(const Line&) const = default;
  };

  LayerMapping(const char* reference) : lines_{{"", Mode::Fallback, reference}} {}
  LayerMapping(std::string reference) : lines_{{"", Mode::Fallback, std::move(reference)}} {}
  /// Throws Error(invalid_argument) for a device or mode that is none, or one that comes twice.
  LayerMapping(std::initializer_list<std::pair<const MappedDevice, ModeMapping>> by_device);

  /// The reference for a device ("cuda") of some capability (90; 0: it has none) and a mode; null if there is none. Lines of
  /// the device come before those of all devices, and of those that hold the capability the smallest interval's. Then the
  /// first of these modes that has a line: Inference → Inference|TorchCompile → Training → Training|TorchCompile → Fallback;
  /// Training → Training|TorchCompile → Fallback; with TorchCompile those with it alone, then Fallback. Source: HF kernels.
  const std::string* find(const std::string& device, int capability = 0, Mode mode = Mode::Inference) const;

  /// This mapping with `other`'s lines over it: the same device, interval and mode is replaced, the rest stays; one for all
  /// devices replaces everything.
  LayerMapping with(const LayerMapping& other) const;

  const std::vector<Line>& lines() const { return lines_; }
  bool operator==(const LayerMapping&) const = default;

 private:
  std::vector<Line> lines_;
};

struct KernelConfigOptions {
  /// Allows references by absolute path, "/path/to/repo:Entry". Without it such a reference is an error.
  bool use_local_kernel = false;
};

/// Layer names and fusions, and their mappings. A value type: copy it freely; const functions are thread-safe.
///   KernelConfig({{"RMSNorm", "graft-kernels/norm:RMSNorm"}})
///   KernelConfig({{{{"RMSNorm", "model.layers.*.post_attention_layernorm"}, {"SwiGLUMLP", "model.layers.*.mlp"}},
///                  "graft-kernels/mlp:RMSNormMLP"}})
/// The kernel of a fusion does what its members do one after the other. Its contract names their weights and attributes by member,
/// "1.gate" and "0.eps"; its inputs are those of the first member, its first output is the last one's, and further ones are further
/// outputs of the first. Where a fusion is mapped for a device and mode, that comes before what its members are mapped to.
class KernelConfig {
 public:
  using Pair = std::pair<LayerKey, LayerMapping>;

  KernelConfig() = default;
  /// Throws Error(invalid_argument) for a malformed reference, an unknown device, a layer or fusion named twice, or a local path
  /// without use_local_kernel.
  KernelConfig(std::initializer_list<Pair> layers, KernelConfigOptions options = {});

  bool empty() const { return layers_.empty() && fusions_.empty(); }
  const LayerMapping* find(const std::string& layer) const;
  const std::map<std::string, LayerMapping>& layers() const { return layers_; }
  /// In the order in which they were added: a layer that is in two of them goes to the first.
  const std::vector<Pair>& fusions() const { return fusions_; }

  /// Maps one more layer or fusion; throws as the constructor does.
  void add(Pair layer, const KernelConfigOptions& options = {});

  /// This config, with `other`'s layers put over it, see LayerMapping::with.
  KernelConfig with(const KernelConfig& other) const;

  /// What `use_kernels = true` binds by default: first-party kernels from graft-kernels/.
  static const KernelConfig& defaults();

  /// {layer or fusion: [{device, capability: [min, max], mode, kernel}]}; all devices are "*".
  std::string json() const;

 private:
  std::map<std::string, LayerMapping> layers_;
  std::vector<Pair> fusions_;
};

/// "metal" of "mps". Throws Error(invalid_argument) for a name that no mapping may have; "" is one.
std::string mapping_device(const std::string& name);

}  // namespace graft
