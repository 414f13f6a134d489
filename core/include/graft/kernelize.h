// kernelize: bind kernels onto the layers of a module.
#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <set>
#include <string>

#include "graft/bind_report.h"
#include "graft/kernel_config.h"
#include "graft/kernel_policy.h"
#include "graft/mode.h"
#include "graft/policy.h"

namespace torch::nn {
class Module;
}

namespace graft {

struct KernelizeOptions {
  /// None given: is_training() decides, at each call: train() and eval() switch between the kernels for either mode.
  std::optional<Mode> mode = std::nullopt;
  /// None given: the mapping in force, see kernel_mapping.h.
  std::optional<KernelConfig> kernel_config = std::nullopt;
  /// Admits publishers that the trust policy does not name. Digest and signature checks stay on.
  bool allow_all_kernels = false;
  /// False: a layer that cannot be bound, or a kernel that fails, is an Error instead of the layer's own forward.
  bool use_fallback = true;
  /// None given: the policy of this machine and user, see policy.h.
  std::optional<Policy> policy = std::nullopt;
  /// None given: each layer's own, which is that of its weights, or of the next ones below its module or above; CPU if there are
  /// none, or all are on the meta device.
  std::optional<c10::Device> device = std::nullopt;
  /// fastest: each layer keeps the faster of kernel and own forward, by the shapes seen first. Forgotten by the next kernelize().
  KernelPolicy kernel_policy = KernelPolicy::always;
};

/// Binds a kernel onto every layer of `module` (and below) that registered a slot and is mapped; unbinds the others.
/// Per-layer failures are values in the report. Throws Error(invalid_argument) for options that contradict each other,
/// and, with use_fallback = false, the first layer's Error. Safe while other threads run the module.
BindReport kernelize(torch::nn::Module& module, const KernelizeOptions& options = {});

/// What kernelize() would report, with nothing bound and the module left as it is: each kernel is found, fetched, checked
/// and loaded, and asked for contract, device, dtype, shapes and attributes. No weight is read, so the module may be on the
/// meta device (`options.device` says where it will be), and a kernel that refuses the weights' values in prepare() shows
/// only in kernelize(). "bound" reads as "would be bound". Errors and threads as kernelize's.
BindReport plan_kernels(const torch::nn::Module& module, const KernelizeOptions& options = {});

/// What is in force now, without changing it: also says which kernels have failed since they were bound.
BindReport kernel_report(const torch::nn::Module& module);

/// The names of layers in `module` and below that a mapping can name: "RMSNorm", "attention" … Any thread.
std::set<std::string> kernel_layers(const torch::nn::Module& module);

/// Unbinds every layer of `module` and below.
void unkernelize(torch::nn::Module& module);

}  // namespace graft
