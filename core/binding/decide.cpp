#include "decide.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "determinism.h"
#include "graft/kernel_mapping.h"
#include "graft/operators.h"
#include "graft/runtime.h"
#include "kernel_call.h"
#include "module_members.h"
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

void check_mode(const Kernel& kernel, Mode mode) {
  const std::string what = "kernel " + kernel.ref.str();
  if (has(mode, Mode::TorchCompile)) {
    check_operator(kernel, "map one that does to a mode with Mode::TorchCompile, or kernelize without it");
  }
  if (has(mode, Mode::Training) && (kernel.entry->flags & GRAFT_ENTRY_HAS_BACKWARD) == 0) {
    throw Error(ErrorCode::unsupported, what, "it has no backward, so training runs the layer's own forward",
                "map one that has to Mode::Training");
  }
}

void check_determinism(const Kernel& kernel) {
  if (determinism_is_asked_for() && !is_deterministic(kernel)) throw not_deterministic(kernel);
}

/// Nothing for a kernel that does not fit the layer at all: binding it says so.
std::optional<Error> wrong_results(const Kernel& kernel, const graft_contract& contract,
                                   const LayerFacts& facts) {
  if (!fulfils(*kernel.entry, contract.name)) return std::nullopt;
  const std::string complaint = self_check(kernel, contract, facts.device, facts.dtype);
  if (complaint.empty()) return std::nullopt;
  return Error(ErrorCode::plugin, "kernel " + kernel.ref.str(), complaint,
               "report it to the kernel's author: graft bench " + kernel.ref.str() +
                   " shows it; \"self_check\": false in the policy binds it all the same");
}

/// A policy that does not parse stops every kernel by itself, with its reason.
bool wants_self_check() try {
  return Runtime::shared().policy().self_check;
} catch (const Error&) {
  return true;
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

Decider::Decider(const torch::nn::Module& module, const KernelizeOptions& options, Make make)
    : options_(options),
      config_(options.kernel_config ? *options.kernel_config : active_kernel_mapping()),
      make_(make),
      policy_(options.policy ? std::make_shared<Policy>(*options.policy) : nullptr),
      self_check_(policy_ ? policy_->self_check : wants_self_check()),
      kernels_(options.allow_all_kernels, policy_) {
  check(options);
  if (options.mode) {
    modes_ = {*options.mode};
  } else if (make == Make::kernels) {
    modes_ = {Mode::Inference, Mode::Training};
  } else {
    modes_ = {module.is_training() ? Mode::Training : Mode::Inference};
  }
  if (const at::Tensor* parameter = first_parameter(module)) {
    dtype_ = parameter->scalar_type();
    if (!parameter->is_meta()) device_ = parameter->device();
  }
  if (!options.device) parameter_devices_ = devices_of_parameters(module);
  device_ = options.device.value_or(device_);
  mapping_off_ = why_off();
}

std::vector<const Layer*> Decider::in_binding_order(const std::vector<Layer>& layers) {
  std::vector<const Layer*> order;
  for (const Layer& layer : layers) order.push_back(&layer);
  packs_ = std::any_of(layers.begin(), layers.end(), [&](const Layer& layer) {
    const LayerLine& line = mapped_line(layer, modes_.front());
    return line.mapped != nullptr && line.mapped->kernel != nullptr && (line.mapped->kernel->entry->flags & GRAFT_ENTRY_PREPACKS) != 0;
  });
  if (!packs_) return order;
  std::map<const Layer*, size_t> bytes;
  for (const Layer& layer : layers) bytes[&layer] = layer.slot->weight_bytes();
  std::stable_sort(order.begin(), order.end(),
                   [&](const Layer* a, const Layer* b) { return bytes[a] > bytes[b]; });
  return order;
}

Decision Decider::decide(const Layer& layer, Mode mode, const Decision* other) {
  if (blocks_.empty()) return decide_layer(layer, mode, other);
  const Fused& with_others = fused(mode);
  if (const auto found = with_others.decisions.find(layer.slot.get()); found != with_others.decisions.end()) return found->second;
  Decision decision = decide_layer(layer, mode, other);
  if (const auto found = with_others.left_out.find(layer.slot.get()); found != with_others.left_out.end())
    decision.line.reason += (decision.line.reason.empty() ? "" : "; ") + found->second;
  return decision;
}

Decision Decider::decide_layer(const Layer& layer, Mode mode, const Decision* other) {
  const LayerLine& line = mapped_line(layer, mode);
  if (line.mapped == nullptr) return {.line = line};
  Decision decision = decide_kernel(line, layer, mode, other, nullptr);
  cover(layer, decision);
  return decision;
}

void Decider::cover(const Layer& layer, const Decision& decision) {
  if (!packs_ || decision.kernel == nullptr || layer.slot->options().covers.empty()) return;
  const std::string prefix = layer.path.empty() ? "" : layer.path + ".";
  for (const std::string& below : layer.slot->options().covers) covered_.insert(prefix + below);
}

Decision Decider::decide_kernel(const LayerLine& asked, const Layer& layer, Mode mode, const Decision* other,
                                const FusedBlock* block) {
  Decision decision{.line = asked};
  LayerLine& line = decision.line;
  try {
    if (line.mapped->error) throw *line.mapped->error;
    const std::shared_ptr<const Kernel>& found = line.mapped->kernel;
    const bool compiles = has(mode, Mode::TorchCompile);
    const std::string as_operator = compiles ? operator_kernel(*found) : "";
    if (other != nullptr && other->line.mapped == line.mapped) decision.kernel = other->kernel;
    if (decision.kernel == nullptr && block == nullptr && make_ == Make::kernels)
      decision.kernel = layer.slot->bound(*found, device_of(layer), dtype_, as_operator);
    std::optional<LayerFacts> fresh;
    if (decision.kernel == nullptr)
      fresh = block != nullptr ? facts_of(*block, *found) : layer.slot->facts(device_of(layer), dtype_);
    const LayerFacts& facts = fresh ? *fresh : decision.kernel->facts();
    const graft_contract& contract = facts.plan->contract();
    if (const auto& error = objection(*line.mapped, mode, contract, facts)) throw *error;
    if (compiles) operator_for(contract.name);
    if (fresh) {
      fresh->operator_kernel = as_operator;
      decision.kernel = bind(layer, found, *std::move(fresh));
    }
    if (compiles && decision.kernel != nullptr) ServedKernels::shared().admit(found);
    line.state = LayerState::bound;
    line.reason = remark(*found);
  } catch (const Error& error) {
    decision.kernel = nullptr;
    line.state = LayerState::fallback;
    line.reason = error.why() + (error.mend().empty() ? "" : " (" + error.mend() + ")");
    decision.refused = error;
  }
  return decision;
}

c10::Device Decider::device_of(const Layer& layer) const {
  if (parameter_devices_.empty()) return device_;
  for (const auto& [argument, source] : layer.slot->options().weights) {  // shared ones are no parameters of its module
    if (const auto* shared = std::get_if<at::Tensor>(&source); shared != nullptr && shared->defined() && !shared->is_meta()) return shared->device();
  }
  for (size_t end = layer.path.size(); end != layer.path.npos && end > 0; end = layer.path.rfind('.', end - 1)) {
    const std::string prefix = layer.path.substr(0, end) + ".";
    const auto below = parameter_devices_.lower_bound(prefix);
    if (below != parameter_devices_.end() && below->first.starts_with(prefix)) return below->second;
  }
  return device_;
}

void Decider::survey(const torch::nn::Module& module, const std::vector<Layer>& layers) {
  std::vector<MappedKernels::Asked> asked;
  std::vector<LayerLine*> asking;
  for (const Layer& layer : layers) {
    for (const Mode mode : modes_) {
      const auto [kind, fresh] = lines_.try_emplace(kind_of(layer, mode));
      if (!fresh) continue;
      Mapping mapping = mapping_of(layer, mode);
      if (auto* line = std::get_if<LayerLine>(&mapping)) {
        kind->second = std::move(*line);
      } else {
        asked.push_back(std::get<MappedKernels::Asked>(std::move(mapping)));
        asking.push_back(&kind->second);
      }
    }
  }
  const auto found = kernels_.find(asked);
  for (size_t i = 0; i < found.size(); ++i) asking[i]->mapped = found[i];
  find_fusions(module, layers);
}

Decider::Kind Decider::kind_of(const Layer& layer, Mode mode) const {
  return {layer.slot->layer(), mode, device_of(layer)};
}

Decider::Mapping Decider::mapping_of(const Layer& layer, Mode mode) const {
  if (!mapping_off_.empty()) return LayerLine{LayerState::disabled, nullptr, mapping_off_};
  const LayerMapping* mapping = config_.find(layer.slot->layer());
  if (mapping == nullptr) return LayerLine{LayerState::own, nullptr, "not mapped"};
  return mapping_of(*mapping, mode, layer.slot->plan().contract().name, device_of(layer));
}

Decider::Mapping Decider::mapping_of(const LayerMapping& mapping, Mode mode, const std::string& contract,
                                     c10::Device on) const {
  const std::string device = mapping_name(on);
  const int capability = capability_of(on);
  const std::string* reference = mapping.find(device, capability, mode);
  if (reference == nullptr) {
    const bool other_mode = mapping.find(device, capability, Mode::Inference) || mapping.find(device, capability, Mode::Training);
    return LayerLine{LayerState::own, nullptr,
                     "not mapped for " + device + (other_mode ? " in " + name(mode) : "")};
  }
  if (reference->empty()) return LayerLine{LayerState::disabled, nullptr, "mapped to \"\""};
  return MappedKernels::Asked{*reference, contract, on};  // a config has none that does not parse
}

/// Why layers of this kind are not given the kernel, whatever their weights.
const std::optional<Error>& Decider::objection(const MappedKernel& found, Mode mode, const graft_contract& contract, const LayerFacts& facts) {
  const auto [known, fresh] = objections_.try_emplace({&found, mode, &contract, facts.dtype});
  if (!fresh) return known->second;
  try {
    check_mode(*found.kernel, mode);
    check_determinism(*found.kernel);
  } catch (const Error& error) {
    return known->second = error;
  }
  if (!self_check_) return known->second;
  const auto [wrong, unseen] = wrong_results_.try_emplace({&found, &contract, facts.dtype});
  if (unseen) wrong->second = wrong_results(*found.kernel, contract, facts);
  return known->second = wrong->second;
}

std::shared_ptr<const BoundKernel> Decider::bind(const Layer& layer, const std::shared_ptr<const Kernel>& found, LayerFacts facts) {
  if (make_ == Make::report_alone) {
    BoundKernel::check(found, std::move(facts));
    return nullptr;
  }
  if (facts.chain != nullptr) {  // a layer's own was looked for before its facts were gathered
    if (auto bound = layer.slot->bound(*found, facts)) return bound;
  }
  const bool packs = (found->entry->flags & GRAFT_ENTRY_PREPACKS) != 0;
  if (packs && facts.operator_kernel.empty() && covered_.contains(layer.path)) return BoundKernel::waiting(found, std::move(facts));
  return std::make_shared<const BoundKernel>(found, std::move(facts));
}

}  // namespace graft
