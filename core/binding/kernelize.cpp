#include "graft/kernelize.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

#include "graft/error.h"
#include "graft/runtime.h"
#include "near_names.h"
#include "slot_state.h"

namespace graft {
namespace {

struct Layer {
  std::string path;  // of the module: "model.layers.0.mlp"
  std::shared_ptr<SlotState> slot;
};

std::vector<Layer> layers_of(const torch::nn::Module& module) {
  std::vector<Layer> layers;
  for (const auto& slot : slot_registry::of(&module)) layers.push_back({"", slot});
  for (const auto& item : module.named_modules("", /*include_self=*/false)) {
    for (const auto& slot : slot_registry::of(item.value().get())) layers.push_back({item.key(), slot});
  }
  return layers;
}

std::string mapping_name(c10::Device device) {
  switch (device.type()) {
    case c10::kHIP: return "rocm";
    case c10::kMPS: return "metal";
    default: return c10::DeviceTypeName(device.type(), /*lower_case=*/true);
  }
}

void check(const KernelizeOptions& options) {
  if (!options.mode.has_value()) return;
  const Mode mode = *options.mode;
  if (has(mode, Mode::Inference) && has(mode, Mode::Training)) {
    throw Error(ErrorCode::invalid_argument, "mode " + name(mode), "inference and training exclude each other",
                "choose one");
  }
  if (has(mode, Mode::Fallback)) {
    throw Error(ErrorCode::invalid_argument, "mode " + name(mode), "Mode::Fallback stands in mappings only");
  }
}

/// Kernels by reference, each asked for once in a kernelize: what failed for one layer fails for all of them.
class Kernels {
 public:
  Kernels(const KernelizeOptions& options, std::string device) : options_(options), device_(std::move(device)) {
    if (options.policy) policy_ = std::make_shared<Policy>(*options.policy);
  }

  Kernel get(const std::string& reference) {
    if (const auto found = loaded_.find(reference); found != loaded_.end()) return found->second;
    if (const auto found = failed_.find(reference); found != failed_.end()) throw found->second;
    try {
      const LoadOptions load{.device = device_, .allow_all_kernels = options_.allow_all_kernels, .policy = policy_};
      return loaded_.emplace(reference, Runtime::shared().load(KernelRef::parse(reference), load)).first->second;
    } catch (const Error& error) {
      failed_.emplace(reference, error);
      throw;
    }
  }

 private:
  const KernelizeOptions& options_;
  std::string device_;
  std::shared_ptr<const Policy> policy_;  // null: this machine's
  std::map<std::string, Kernel> loaded_;
  std::map<std::string, Error> failed_;
};

void describe(const Kernel& kernel, LayerReport& report) {
  report.repo = kernel.repo;
  report.commit = kernel.commit;
  report.variant = kernel.variant;
  report.entry = kernel.entry->name;
  report.digest = kernel.digest;
  report.trust = kernel.trust.state;
  report.publisher = kernel.trust.publisher;
  report.signer = kernel.trust.signer;
  report.rule = kernel.trust.rule;
}

void check_mode(const Kernel& kernel, std::optional<Mode> mode) {
  if (!mode.has_value()) return;
  const std::string what = "kernel " + kernel.ref.str();
  if (has(*mode, Mode::Training)) {
    throw Error(ErrorCode::unsupported, what, "kernels are bound for inference only, so training runs the layer's own",
                "kernelize with Mode::Inference, or leave the mode to train() and eval()");
  }
  if (has(*mode, Mode::TorchCompile)) {
    throw Error(ErrorCode::unsupported, what, "kernels are not available as operators of torch.compile",
                "kernelize with Mode::Inference");
  }
}

/// Binds or unbinds one layer and says what came of it.
void bind_layer(const Layer& layer, const std::string& reference, Kernels& kernels, c10::Device device,
                at::ScalarType dtype, const KernelizeOptions& options) {
  LayerReport report{.layer = layer.slot->layer(), .module = layer.path, .reference = reference};
  std::unique_ptr<BoundKernel> bound;
  try {
    const Kernel kernel = kernels.get(reference);
    describe(kernel, report);
    check_mode(kernel, options.mode);
    bound = std::make_unique<BoundKernel>(kernel, layer.slot->facts(device, dtype));
    report.state = LayerState::bound;
    report.reason = kernel.trust.state == "trusted" ? "" : kernel.trust.reason;
    if (!kernel.note.empty()) report.reason += (report.reason.empty() ? "" : "; ") + kernel.note;
  } catch (const Error& error) {
    report.state = LayerState::fallback;
    report.reason = error.why() + (error.mend().empty() ? "" : " (" + error.mend() + ")");
    if (!options.use_fallback) {
      layer.slot->bind(nullptr, std::move(report), options.use_fallback, false);
      throw;
    }
  }
  layer.slot->bind(std::move(bound), std::move(report), options.use_fallback,
                   options.mode.has_value() && has(*options.mode, Mode::Inference));
}

void leave_own(const Layer& layer, LayerState state, std::string reason) {
  layer.slot->bind(nullptr,
                   {.layer = layer.slot->layer(), .module = layer.path, .state = state, .reason = std::move(reason)},
                   true, false);
}

std::vector<std::string> unknown_layers(const KernelConfig& config, const std::vector<Layer>& layers) {
  std::set<std::string> names;
  for (const Layer& layer : layers) names.insert(layer.slot->layer());
  std::vector<std::string> warnings;
  for (const auto& [name, mapping] : config.layers()) {
    if (names.contains(name)) continue;
    std::string warning = "no layer of this model is called '" + name + "'";
    const std::string near = near_name(name, names);
    if (!near.empty()) warning += "; did you mean '" + near + "'?";
    std::string all;
    for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
    warnings.push_back(warning + " (it has " + (all.empty() ? "no layer that can be mapped" : all) + ")");
  }
  return warnings;
}

/// Slots inside a module whose own slot is bound do not run: say so.
void mark_covered(const std::vector<Layer>& layers, BindReport& report) {
  std::map<std::string, std::string> covered;  // module path → the bound module above it
  for (size_t i = 0; i < layers.size(); ++i) {
    if (report.layers[i].state != LayerState::bound) continue;
    const std::string prefix = layers[i].path.empty() ? "" : layers[i].path + ".";
    for (const std::string& below : layers[i].slot->options().covers) {
      covered[prefix + below] = layers[i].path + " (" + layers[i].slot->layer() + ")";
    }
  }
  for (LayerReport& layer : report.layers) {
    if (const auto found = covered.find(layer.module); found != covered.end()) layer.covered_by = found->second;
  }
}

BindReport collect(const std::vector<Layer>& layers) {
  BindReport report;
  for (const Layer& layer : layers) {
    report.layers.push_back(layer.slot->report());
    report.layers.back().module = layer.path;
  }
  mark_covered(layers, report);
  return report;
}

}  // namespace

BindReport kernelize(torch::nn::Module& module, const KernelizeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  check(options);
  const KernelConfig& config = options.kernel_config ? *options.kernel_config : KernelConfig::defaults();

  const std::vector<at::Tensor> parameters = module.parameters();
  const at::ScalarType dtype = parameters.empty() ? at::kFloat : parameters[0].scalar_type();
  const c10::Device device =
      options.device.value_or(parameters.empty() ? c10::Device(c10::kCPU) : parameters[0].device());

  const char* switch_off = std::getenv("DISABLE_KERNEL_MAPPING");
  const bool mapping_off = switch_off != nullptr && std::string_view(switch_off) == "1";
  const std::vector<Layer> layers = layers_of(module);
  Kernels kernels(options, device.str());
  for (const Layer& layer : layers) {
    const LayerMapping* mapping = config.find(layer.slot->layer());
    const std::string* reference = mapping != nullptr ? mapping->find(mapping_name(device)) : nullptr;
    if (mapping_off) {
      leave_own(layer, LayerState::disabled, "DISABLE_KERNEL_MAPPING=1 is set");
    } else if (mapping == nullptr) {
      leave_own(layer, LayerState::own, "not mapped");
    } else if (reference == nullptr) {
      leave_own(layer, LayerState::own, "not mapped for " + mapping_name(device));
    } else if (reference->empty()) {
      leave_own(layer, LayerState::disabled, "mapped to \"\"");
    } else {
      bind_layer(layer, *reference, kernels, device, dtype, options);
    }
  }

  BindReport report = collect(layers);
  if (options.kernel_config) report.warnings = unknown_layers(config, layers);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

BindReport kernel_report(const torch::nn::Module& module) { return collect(layers_of(module)); }

void unkernelize(torch::nn::Module& module) {
  for (const Layer& layer : layers_of(module)) leave_own(layer, LayerState::own, "not kernelized");
}

}  // namespace graft
