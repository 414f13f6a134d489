#include "decide.h"

#include <ATen/Context.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "graft/host_platform.h"
#include "graft/kernel_mapping.h"
#include "graft/operators.h"
#include "graft/runtime.h"
#include "self_check.h"
#include "served_kernels.h"

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

void check_mode(const Kernel& kernel, Mode mode) {
  const std::string what = "kernel " + kernel.ref.str();
  if (has(mode, Mode::TorchCompile) && (kernel.entry->flags & GRAFT_ENTRY_COMPILE_SAFE) == 0) {
    throw Error(ErrorCode::unsupported, what,
                "it does not say that it works as an operator of torch.compile (GRAFT_ENTRY_COMPILE_SAFE)",
                "map one that does to a mode with Mode::TorchCompile, or kernelize without it");
  }
  if (has(mode, Mode::Training) && (kernel.entry->flags & GRAFT_ENTRY_HAS_BACKWARD) == 0) {
    throw Error(ErrorCode::unsupported, what, "it has no backward, so training runs the layer's own forward",
                "map one that has to Mode::Training");
  }
}

void check_determinism(const Kernel& kernel) {
  if (!at::globalContext().deterministicAlgorithms() || (kernel.entry->flags & GRAFT_ENTRY_DETERMINISTIC) != 0) return;
  throw Error(ErrorCode::unsupported, "kernel " + kernel.ref.str(),
              "deterministic algorithms are asked for (at::globalContext().setDeterministicAlgorithms), and it does not say that it is one",
              "map another kernel, or allow others");
}

/// A policy that does not parse stops every kernel by itself, with its reason.
bool wants_self_check() try {
  return Runtime::shared().policy().self_check;
} catch (const Error&) {
  return true;
}

/// Of CUDA device 1, "9.0" is 90; 0: unknown, or another device.
int capability_of(c10::Device device) {
  if (!device.is_cuda()) return 0;
  const auto cuda = HostPlatform::detect().with_device("cuda").cuda;
  const size_t index = device.has_index() ? size_t(device.index()) : 0;
  if (!cuda || index >= cuda->capabilities.size()) return 0;
  const std::string& text = cuda->capabilities[index];
  return std::stoi(text) * 10 + std::stoi(text.substr(text.find('.') + 1));
}

/// Why the environment lets no layer be mapped; empty if it does. Throws Error(invalid_argument) for a USE_HUB_KERNELS that
/// says neither yes nor no.
std::string why_off() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    std::string text = value != nullptr ? value : "";
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return text;
  };
  if (variable("DISABLE_KERNEL_MAPPING") == "1") return "DISABLE_KERNEL_MAPPING=1 is set";
  const std::string use = variable("USE_HUB_KERNELS");
  if (use == "0" || use == "OFF" || use == "NO" || use == "FALSE") return "USE_HUB_KERNELS=" + use + " is set";
  if (use.empty() || use == "1" || use == "ON" || use == "YES" || use == "TRUE") return {};
  throw Error(ErrorCode::invalid_argument, "USE_HUB_KERNELS=" + use, "says neither yes nor no",
              "set it to 1, ON, YES or TRUE, to 0, OFF, NO or FALSE, or unset it");
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
      config_(options.kernel_config ? *options.kernel_config : active_kernel_mapping()),
      make_(make) {
  check(options);
  const std::vector<at::Tensor> parameters = module.parameters();
  if (!parameters.empty()) dtype_ = parameters[0].scalar_type();
  if (!parameters.empty() && !parameters[0].is_meta()) device_ = parameters[0].device();
  device_ = options.device.value_or(device_);
  capability_ = capability_of(device_);
  mapping_off_ = why_off();
  if (options.policy) policy_ = std::make_shared<Policy>(*options.policy);
  self_check_ = policy_ ? policy_->self_check : wants_self_check();
}

Decision Decider::decide(const Layer& layer, Mode mode, const Decision* other) {
  if (!mapping_off_.empty()) return leave_own(layer, LayerState::disabled, mapping_off_);
  const LayerMapping* mapping = config_.find(layer.slot->layer());
  if (mapping == nullptr) return leave_own(layer, LayerState::own, "not mapped");
  const std::string device = mapping_name(device_);
  const std::string* reference = mapping->find(device, capability_, mode);
  if (reference == nullptr) {
    const bool other_mode = mapping->find(device, capability_, Mode::Inference) || mapping->find(device, capability_, Mode::Training);
    return leave_own(layer, LayerState::own, "not mapped for " + device + (other_mode ? " in " + name(mode) : ""));
  }
  if (reference->empty()) return leave_own(layer, LayerState::disabled, "mapped to \"\"");
  return with_kernel(layer, *reference, mode, other);
}

Decision Decider::with_kernel(const Layer& layer, const std::string& reference, Mode mode, const Decision* other) {
  Decision decision;
  LayerReport& report = decision.report;
  report = {.layer = layer.slot->layer(), .module = layer.path, .reference = reference};
  try {
    const Kernel& found = kernel(reference);
    describe(found, report);
    const bool same = other != nullptr && other->kernel != nullptr && other->report.reference == reference;
    LayerFacts facts = layer.slot->facts(device_, dtype_);
    check_mode(found, mode);
    check_determinism(found);
    check_results(found, reference, layer.slot->plan().contract(), facts);
    if (has(mode, Mode::TorchCompile)) {
      operator_for(facts.plan->contract().name);
      facts.operator_kernel = operator_kernel(found);
    }
    if (same) {
      decision.kernel = other->kernel;
    } else if (make_ == Make::kernels) {
      decision.kernel = std::make_shared<const BoundKernel>(found, std::move(facts));
    } else {
      BoundKernel::check(found, std::move(facts));
    }
    if (has(mode, Mode::TorchCompile) && decision.kernel != nullptr) ServedKernels::shared().admit(found);
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

/// A kernel that does not fit the layer at all is told so by binding it.
void Decider::check_results(const Kernel& found, const std::string& reference, const graft_contract& contract, const LayerFacts& facts) {
  if (!self_check_ || !fulfils(*found.entry, contract.name)) return;
  const std::string key = reference + " " + contract.name + " " + std::to_string(int(facts.dtype));
  auto known = complaints_.find(key);
  if (known == complaints_.end()) known = complaints_.emplace(key, self_check(found, contract, facts.device, facts.dtype)).first;
  if (known->second.empty()) return;
  throw Error(ErrorCode::plugin, "kernel " + found.ref.str(), known->second,
              "report it to the kernel's author: graft bench " + found.ref.str() + " shows it; \"self_check\": false in the policy binds it all the same");
}

const Kernel& Decider::kernel(const std::string& reference) {
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
