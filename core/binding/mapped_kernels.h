// MappedKernels: what the references of a mapping come to.
#pragma once

#include <c10/core/Device.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "graft/policy.h"
#include "layer_line.h"

namespace graft {

/// Each is found once, and then the same for all layers that are mapped to it. Not thread-safe.
class MappedKernels {
 public:
  struct Asked {
    std::string reference;  // one that parses
    // Chooses among a repo's entries where the reference names none; empty: of several layers.
    std::string contract;
    c10::Device device;
  };

  /// `policy` null: this machine's.
  MappedKernels(bool allow_all_kernels, std::shared_ptr<const Policy> policy)
      : allow_all_kernels_(allow_all_kernels), policy_(std::move(policy)) {}

  /// In the order asked. Packages of different repos are loaded side by side: while one is fetched from its
  /// Hub, another is hashed.
  std::vector<std::shared_ptr<const MappedKernel>> find(const std::vector<Asked>& asked);

 private:
  LoadOptions options_for(c10::Device device) const;
  std::shared_ptr<const MappedKernel> load(const Asked& asked) const;

  const bool allow_all_kernels_;
  const std::shared_ptr<const Policy> policy_;
  /// By reference, the contract if that chooses, and device.
  std::map<std::tuple<std::string, std::string, c10::DeviceType, c10::DeviceIndex>,
           std::shared_ptr<const MappedKernel>>
      known_;
};

}  // namespace graft
