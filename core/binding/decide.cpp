#include "decide.h"

#include <torch/nn/module.h>

#include <cstdlib>

#include "graft/runtime.h"

namespace graft {
namespace {

std::string mapping_name(c10::Device device) {
  switch (device.type()) {
    case c10::kHIP:
      return "rocm";
    case c10::kMPS:
      return "metal";
    default:
      return c10::DeviceTypeName(device.type(), /*lower_case=*/true);
  }
}

void check(const KernelizeOptions& options) {
  if (!options.mode.has_value()) return;
  const Mode mode = *options.mode;
  if (has(mode, Mode::Inference) && has(mode, Mode::Training)) {
    throw Error(ErrorCode::invalid_argument, "mode " + name(mode),
                "inference and training exclude each other", "choose one");
  }
  if (has(mode, Mode::Fallback)) {
    throw Error(ErrorCode::invalid_argument, "mode " + name(mode), "Mode::Fallback stands in mappings only");
  }
}

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
    throw Error(ErrorCode::unsupported, what,
                "kernels are bound for inference only, so training runs the layer's own",
                "kernelize with Mode::Inference, or leave the mode to train() and eval()");
  }
  if (has(*mode, Mode::TorchCompile)) {
    throw Error(ErrorCode::unsupported, what, "kernels are not available as operators of torch.compile",
                "kernelize with Mode::Inference");
  }
}

}  // namespace

Decision leave_own(const Layer& layer, LayerState state, std::string reason) {
  Decision decision;
  decision.report = {
      .layer = layer.slot->layer(), .module = layer.path, .state = state, .reason = std::move(reason)};
  return decision;
}

Decider::Decider(const torch::nn::Module& module, const KernelizeOptions& options, Make make)
    : options_(options),
      config_(options.kernel_config ? *options.kernel_config : KernelConfig::defaults()),
      make_(make) {
  check(options);
  const std::vector<at::Tensor> parameters = module.parameters();
  if (!parameters.empty()) dtype_ = parameters[0].scalar_type();
  if (!parameters.empty() && !parameters[0].is_meta()) device_ = parameters[0].device();
  device_ = options.device.value_or(device_);
  const char* switch_off = std::getenv("DISABLE_KERNEL_MAPPING");
  mapping_off_ = switch_off != nullptr && std::string_view(switch_off) == "1";
  if (options.policy) policy_ = std::make_shared<Policy>(*options.policy);
}

Decision Decider::decide(const Layer& layer) {
  const LayerMapping* mapping = config_.find(layer.slot->layer());
  const std::string* reference = mapping != nullptr ? mapping->find(mapping_name(device_)) : nullptr;
  if (mapping_off_) return leave_own(layer, LayerState::disabled, "DISABLE_KERNEL_MAPPING=1 is set");
  if (mapping == nullptr) return leave_own(layer, LayerState::own, "not mapped");
  if (reference == nullptr)
    return leave_own(layer, LayerState::own, "not mapped for " + mapping_name(device_));
  if (reference->empty()) return leave_own(layer, LayerState::disabled, "mapped to \"\"");
  return with_kernel(layer, *reference);
}

Decision Decider::with_kernel(const Layer& layer, const std::string& reference) {
  Decision decision;
  LayerReport& report = decision.report;
  report = {.layer = layer.slot->layer(), .module = layer.path, .reference = reference};
  try {
    const Kernel found = kernel(reference);
    describe(found, report);
    check_mode(found, options_.mode);
    LayerFacts facts = layer.slot->facts(device_, dtype_);
    if (make_ == Make::kernels) {
      decision.kernel = std::make_unique<BoundKernel>(found, std::move(facts));
    } else {
      BoundKernel::check(found, std::move(facts));
    }
    report.state = LayerState::bound;
    report.reason = found.trust.state == "trusted" ? "" : found.trust.reason;
    if (!found.note.empty()) report.reason += (report.reason.empty() ? "" : "; ") + found.note;
  } catch (const Error& error) {
    report.state = LayerState::fallback;
    report.reason = error.why() + (error.mend().empty() ? "" : " (" + error.mend() + ")");
    decision.refused = std::current_exception();
  }
  return decision;
}

Kernel Decider::kernel(const std::string& reference) {
  if (const auto found = loaded_.find(reference); found != loaded_.end()) return found->second;
  if (const auto found = failed_.find(reference); found != failed_.end()) throw found->second;
  try {
    const LoadOptions load{
        .device = device_.str(), .allow_all_kernels = options_.allow_all_kernels, .policy = policy_};
    return loaded_.emplace(reference, Runtime::shared().load(KernelRef::parse(reference), load))
        .first->second;
  } catch (const Error& error) {
    failed_.emplace(reference, error);
    throw;
  }
}

}  // namespace graft
