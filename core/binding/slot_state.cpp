#include "slot_state.h"

#include <torch/nn/module.h>

#include <optional>

#include "graft/error.h"
#include "graft/plugin_call.h"

namespace graft {
namespace {

constexpr int kFailuresUntilUnbound = 3;

std::string where(const SlotState& slot) { return "layer " + slot.layer() + " (" + slot.plan().contract().name + ")"; }

graft_value to_value(const AttributeValue& value, uint32_t tag) {
  graft_value out{};
  out.tag = tag;
  if (tag == GRAFT_BOOL && std::holds_alternative<bool>(value)) {
    out.as.integer = std::get<bool>(value);
  } else if (tag == GRAFT_INT && std::holds_alternative<int64_t>(value)) {
    out.as.integer = std::get<int64_t>(value);
  } else if (tag == GRAFT_FLOAT && std::holds_alternative<double>(value)) {
    out.as.number = std::get<double>(value);
  } else if (tag == GRAFT_STRING && std::holds_alternative<std::string>(value)) {
    out.as.string = std::get<std::string>(value).c_str();
    out.length = uint32_t(std::get<std::string>(value).size());
  } else {
    out.tag = GRAFT_NONE;
  }
  return out;
}

/// By position in the contract; strings point into `options`.
std::vector<graft_value> attribute_values(const graft_contract& contract, const KernelLayerOptions& options) {
  const std::string what = "layer " + options.layer + " (" + contract.name + ")";
  std::vector<graft_value> values(contract.attribute_count, graft_value{});
  for (const auto& [name, value] : options.attributes) {
    uint32_t i = 0;
    while (i < contract.attribute_count && name != contract.attributes[i].name) ++i;
    if (i == contract.attribute_count) {
      throw Error(ErrorCode::invalid_argument, what, "the contract has no attribute '" + name + "'");
    }
    values[i] = to_value(value, contract.attributes[i].tag);
    if (values[i].tag == GRAFT_NONE) {
      throw Error(ErrorCode::invalid_argument, what, "the attribute '" + name + "' has another type in the contract");
    }
  }
  for (uint32_t i = 0; i < contract.attribute_count; ++i) {
    if (contract.attributes[i].required != 0 && values[i].tag == GRAFT_NONE) {
      throw Error(ErrorCode::invalid_argument, what,
                  std::string("the attribute '") + contract.attributes[i].name + "' must be given");
    }
  }
  return values;
}

}  // namespace

SlotState::SlotState(torch::nn::Module* owner, const ContractPlan& plan, KernelLayerOptions options)
    : owner_(owner), plan_(&plan), options_(std::move(options)) {
  if (options_.layer.empty()) {
    const std::string contract = plan.contract().name;
    options_.layer = contract.substr(0, contract.find('/'));
  }
  attributes_ = attribute_values(plan.contract(), options_);
  report_.layer = options_.layer;
}

LayerFacts SlotState::facts(c10::Device device, at::ScalarType fallback_dtype) const {
  const graft_contract& contract = plan_->contract();
  LayerFacts facts{plan_, attributes_, {}, device, fallback_dtype};
  facts.weights.resize(contract.argument_count);
  std::optional<torch::OrderedDict<std::string, at::Tensor>> parameters;  // gathered when a weight is asked for by path
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if ((argument.flags & GRAFT_ARG_WEIGHT) == 0) continue;
    WeightSource source = std::string(argument.name);
    for (const auto& [name, given] : options_.weights) {
      if (name == argument.name) source = given;
    }
    const std::string* path = std::get_if<std::string>(&source);
    if (path != nullptr && !parameters) parameters = owner_->named_parameters();
    const at::Tensor* weight = path != nullptr ? parameters->find(*path) : &std::get<at::Tensor>(source);
    if (weight != nullptr && weight->defined()) {
      facts.weights[i] = *weight;
      if (!weight->is_meta()) facts.device = weight->device();
      if (std::string_view(argument.dtype) == "T") facts.dtype = weight->scalar_type();
    } else if ((argument.flags & GRAFT_ARG_OPTIONAL) == 0) {
      throw Error(ErrorCode::not_found, where(*this),
                  "its module has no parameter '" + (path != nullptr ? *path : argument.name) + "'",
                  "name it in KernelLayerOptions::weights");
    }
  }
  return facts;
}

void SlotState::bind(std::unique_ptr<BoundKernel> kernel, LayerReport report, bool use_fallback, bool any_mode) {
  const std::lock_guard lock(mutex_);
  report_ = std::move(report);
  use_fallback_ = use_fallback;
  any_mode_ = any_mode;
  failures_ = 0;
  active_.store(kernel.get(), std::memory_order_release);
  if (kernel != nullptr) kernels_.push_back(std::move(kernel));
}

LayerReport SlotState::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

bool SlotState::run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  const auto* kernel = static_cast<const BoundKernel*>(active_.load(std::memory_order_acquire));
  if (!any_mode_.load(std::memory_order_relaxed) && owner_->is_training()) return false;
  while (kernel != nullptr) {
    switch (kernel->call(inputs, outputs, count)) {
      case BoundKernel::Outcome::done: return true;
      case BoundKernel::Outcome::unsupported: return false;
      case BoundKernel::Outcome::stale: kernel = rebind(kernel); break;
      case BoundKernel::Outcome::failed:
        if (!use_fallback_) {
          throw Error(ErrorCode::plugin, "kernel " + kernel->kernel().ref.str(), BoundKernel::failure(),
                      "set use_fallback = true to let the layer's own forward take over");
        }
        count_failure(kernel);
        return false;
    }
  }
  return false;
}

const BoundKernel* SlotState::rebind(const BoundKernel* stale) {
  const std::lock_guard lock(mutex_);
  const auto* current = static_cast<const BoundKernel*>(active_.load(std::memory_order_acquire));
  if (current != stale) return current;  // another thread was faster
  std::unique_ptr<BoundKernel> fresh;
  try {
    fresh = std::make_unique<BoundKernel>(stale->kernel(), facts(stale->facts().device, stale->facts().dtype));
  } catch (const Error& error) {
    report_.state = LayerState::fallback;
    report_.reason = std::string("a weight changed, and then: ") + error.why();
  }
  active_.store(fresh.get(), std::memory_order_release);
  if (fresh != nullptr) kernels_.push_back(std::move(fresh));
  return static_cast<const BoundKernel*>(active_.load(std::memory_order_relaxed));
}

void SlotState::count_failure(const BoundKernel* kernel) {
  const int failures = ++failures_;
  const std::lock_guard lock(mutex_);
  if (active_.load(std::memory_order_relaxed) != kernel) return;
  report_.reason = "failed " + std::to_string(failures) + " × while running: " + BoundKernel::failure();
  if (failures >= kFailuresUntilUnbound) {
    report_.state = LayerState::fallback;
    active_.store(nullptr, std::memory_order_release);
  }
}

}  // namespace graft
