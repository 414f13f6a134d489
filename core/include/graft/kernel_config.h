// KernelConfig: which kernel for which layer.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <utility>

namespace graft {

/// What one layer name is mapped to: a reference for all devices, or one for each device. "" disables the layer.
///   "kernels-community/liger_kernels:LigerRMSNorm"
///   {{"cuda", "kernels-community/liger_kernels:LigerRMSNorm"}, {"cpu", "graft-kernels/norm:RMSNorm"}}
class LayerMapping {
 public:
  LayerMapping(const char* reference) : by_device_{{"", reference}} {}
  LayerMapping(std::string reference) : by_device_{{"", std::move(reference)}} {}
  LayerMapping(std::initializer_list<std::pair<const std::string, std::string>> by_device);

  /// The reference for a device ("cpu", "cuda", "rocm", "metal" or "mps", "xpu", "npu", …); null if there is none.
  const std::string* find(const std::string& device) const;

  /// (device, reference) pairs; the device "" stands for all.
  const std::map<std::string, std::string>& by_device() const { return by_device_; }

 private:
  std::map<std::string, std::string> by_device_;
};

struct KernelConfigOptions {
  /// Allows references by absolute path, "/path/to/repo:Entry". Without it such a reference is an error.
  bool use_local_kernel = false;
};

/// Layer names and their mappings. A value type: copy it freely; const functions are thread-safe.
class KernelConfig {
 public:
  using Pair = std::pair<std::string, LayerMapping>;

  KernelConfig() = default;
  /// Throws Error(invalid_argument) for a malformed reference, an unknown device, a layer named twice, or a local path
  /// without use_local_kernel.
  KernelConfig(std::initializer_list<Pair> layers, KernelConfigOptions options = {});

  bool empty() const { return layers_.empty(); }
  const LayerMapping* find(const std::string& layer) const;
  const std::map<std::string, LayerMapping>& layers() const { return layers_; }

  /// Maps one more layer; throws as the constructor does.
  void add(Pair layer, const KernelConfigOptions& options = {});

  /// This config, with `other`'s layers put over it.
  KernelConfig with(const KernelConfig& other) const;

  /// What `use_kernels = true` binds by default: first-party kernels from graft-kernels/.
  static const KernelConfig& defaults();

 private:
  std::map<std::string, LayerMapping> layers_;
};

}  // namespace graft
