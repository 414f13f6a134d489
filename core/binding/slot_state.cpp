#include "slot_state.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <optional>
#include <span>

#include "arguments.h"
#include "determinism.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "kernel_call.h"
#include "module_members.h"

namespace graft {
namespace {

constexpr int kFailuresUntilUnbound = 3;

std::string where(const SlotState& slot) { return "layer " + slot.layer() + " (" + slot.plan().contract().name + ")"; }

/// A layer is where its weights are, and in their dtype.
void go_by(const at::Tensor& weight, const graft_argument& argument, c10::Device& device,
           at::ScalarType& dtype) {
  if (!weight.is_meta()) device = weight.device();
  if (std::string_view(argument.dtype) == "T") dtype = weight.scalar_type();
}

}  // namespace

SlotState::SlotState(torch::nn::Module* owner, const ContractPlan& plan, KernelLayerOptions options)
    : owner_(owner), plan_(&plan), options_(std::move(options)) {
  if (options_.layer.empty()) {
    const std::string contract = plan.contract().name;
    options_.layer = contract.substr(0, contract.find('/'));
  }
  attributes_ = attribute_values(plan.contract(), options_.attributes, where(*this));
  weights_ = weight_sources();
}

std::vector<SlotState::Weight> SlotState::weight_sources() const {
  std::vector<Weight> weights;
  const std::span<const graft_argument> arguments = arguments_of(plan_->contract());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!is_weight(arguments[i])) continue;
    Weight& weight = weights.emplace_back(Weight{i, arguments[i].name});
    for (const auto& [name, given] : options_.weights) {
      if (name == arguments[i].name) weight.source = given;
    }
  }
  return weights;
}

const at::Tensor* SlotState::find(const WeightSource& source) const {
  const std::string* path = std::get_if<std::string>(&source);
  const at::Tensor* weight = path != nullptr ? find_parameter(*owner_, *path) : &std::get<at::Tensor>(source);
  return weight != nullptr && weight->defined() ? weight : nullptr;
}

size_t SlotState::weight_bytes() const {
  size_t bytes = 0;
  for (const Weight& each : weights_) {
    if (const at::Tensor* weight = find(each.source)) bytes += weight->nbytes();
  }
  return bytes;
}

LayerFacts SlotState::facts(c10::Device device, at::ScalarType fallback_dtype) const {
  const std::span<const graft_argument> arguments = arguments_of(plan_->contract());
  LayerFacts facts{plan_, attributes_, std::vector<at::Tensor>(arguments.size()), device, fallback_dtype};
  for (const auto& [position, source] : weights_) {
    const graft_argument& argument = arguments[position];
    if (const at::Tensor* weight = find(source); weight != nullptr) {
      facts.weights[position] = *weight;
      go_by(*weight, argument, facts.device, facts.dtype);
    } else if ((argument.flags & GRAFT_ARG_OPTIONAL) == 0) {
      const std::string* path = std::get_if<std::string>(&source);
      throw Error(ErrorCode::not_found, where(*this),
                  "its module has no parameter '" + (path != nullptr ? *path : argument.name) + "'",
                  "name it in KernelLayerOptions::weights");
    }
  }
  return facts;
}

bool SlotState::trains() const {
  const auto chosen = SlotBinding::Chosen(chosen_.load(std::memory_order_relaxed) & ~(kPasses | kTries));
  if (chosen == SlotBinding::Chosen::by_module) return owner_->is_training();
  return chosen == SlotBinding::Chosen::training;
}

void SlotState::bind(SlotBinding binding) {
  const std::lock_guard lock(mutex_);
  module_ = std::move(binding.module);
  inference_line_ = std::move(binding.inference_line);
  training_line_ = std::move(binding.training_line);
  inference_chain_ = std::move(binding.inference_chain);
  training_chain_ = std::move(binding.training_chain);
  for (const auto& chain : {inference_chain_, training_chain_}) {
    if (chain != nullptr && std::find(chains_.begin(), chains_.end(), chain) == chains_.end()) chains_.push_back(chain);
  }
  use_fallback_ = binding.use_fallback;
  chosen_.store(uint8_t(binding.chosen) | (chains_.empty() ? 0 : kPasses) | (binding.trial == nullptr ? 0 : kTries), std::memory_order_release);
  failures_ = 0;
  held_back_ = false;
  counters_.reset();
  inference_.store(binding.inference.get(), std::memory_order_release);
  training_.store(binding.training.get(), std::memory_order_release);
  trial_.store(binding.trial.get(), std::memory_order_release);  // after its kernel: none is timed for a trial of another
  told_findings_ = 0;
  if (binding.trial != nullptr) trials_.push_back(std::move(binding.trial));
  keep(std::move(binding.inference));
  keep(std::move(binding.training));
  refresh_active();
}

void SlotState::keep(std::shared_ptr<const BoundKernel> kernel) {
  if (kernel != nullptr && std::find(kernels_.begin(), kernels_.end(), kernel) == kernels_.end()) kernels_.push_back(std::move(kernel));
}

void SlotState::refresh_active() {
  const BoundKernel* kernel = inference_ != nullptr ? inference_.load() : training_.load();
  // Without a fallback, a call has to fail where the kernel that was asked for is missing.
  const bool refuses = !use_fallback_ && (inference_line_.state == LayerState::fallback || training_line_.state == LayerState::fallback);
  const bool comes_here = refuses || !chains_.empty();
  active_.store(kernel != nullptr ? static_cast<const void*>(kernel) : comes_here ? this : nullptr, std::memory_order_release);
}

bool SlotState::prepacks() const {
  const BoundKernel* kernel = inference_.load(std::memory_order_acquire);
  return kernel != nullptr && (kernel->kernel().entry->flags & GRAFT_ENTRY_PREPACKS) != 0;
}

template <class Is>
std::shared_ptr<const BoundKernel> SlotState::in_force(Is&& is) const {
  const std::lock_guard lock(mutex_);
  for (const auto& kept : kernels_) {
    const bool in_force = kept.get() == inference_.load(std::memory_order_relaxed) || kept.get() == training_.load(std::memory_order_relaxed);
    if (in_force && is(*kept)) return kept;
  }
  return nullptr;
}

std::shared_ptr<const BoundKernel> SlotState::bound(const Kernel& kernel, const LayerFacts& facts) const {
  return in_force([&](const BoundKernel& kept) { return kept.is(kernel, facts); });
}

std::shared_ptr<const BoundKernel> SlotState::bound(const Kernel& kernel, c10::Device device,
                                                    at::ScalarType fallback_dtype,
                                                    const std::string& operator_kernel) const {
  return in_force([&](const BoundKernel& kept) {
    return kept.is(kernel) && kept.facts().operator_kernel == operator_kernel &&
           still_holds(kept.facts(), device, fallback_dtype);
  });
}

bool SlotState::still_holds(const LayerFacts& facts, c10::Device device, at::ScalarType dtype) const {
  if (facts.plan != plan_ || facts.chain != nullptr) return false;
  for (const auto& [position, source] : weights_) {
    const at::Tensor* weight = find(source);
    const at::Tensor& then = facts.weights[position];
    if (weight == nullptr ? then.defined() : !weight->is_same(then)) return false;
    if (weight != nullptr) go_by(*weight, plan_->contract().arguments[position], device, dtype);
  }
  return facts.device == device && facts.dtype == dtype;
}

LayerReport SlotState::report() const {
  const std::lock_guard lock(mutex_);
  return report_as(module_);
}

LayerReport SlotState::report(const std::string& module) const {
  const std::lock_guard lock(mutex_);
  return report_as(module);
}

LayerReport SlotState::report_as(const std::string& module) const {
  const bool training = trains();
  const LayerLine& line = training ? training_line_ : inference_line_;
  LayerReport report = line.report(layer(), module);
  report.counters = counters_.read();
  if (const SpeedTrial* trial = trial_.load(); trial != nullptr && !training && line.state == LayerState::bound) trial->tell(report);
  if (line.state == LayerState::bound && determinism_is_asked_for() && !is_deterministic(*line.mapped->kernel)) {
    const Error why = not_deterministic(*line.mapped->kernel);
    report.state = LayerState::fallback;
    report.reason = why.why() + " (" + why.mend() + ")";
  }
  if (const auto& chain = training ? training_chain_ : inference_chain_) {
    if (const std::string why = chain->given_up(); !why.empty()) {
      report.state = LayerState::fallback;
      report.reason = why;
    }
  }
  return report;
}

bool SlotState::may_run(const BoundKernel& kernel) {
  const bool held_back = determinism_is_asked_for();
  if (held_back && !use_fallback_) throw not_deterministic(kernel.kernel());
  if (held_back_.load(std::memory_order_relaxed) != held_back && held_back_.exchange(held_back) != held_back) event_sink::tell(report());
  if (held_back) counters_.count(BoundKernel::Outcome::unsupported);
  return !held_back;
}

bool SlotState::pass(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  if (inputs.size() != 1 || count != 1 || inputs.begin()->get() == nullptr) return false;
  const at::Tensor& input = *inputs.begin()->get();
  {
    const std::lock_guard lock(mutex_);
    if (std::none_of(chains_.begin(), chains_.end(), [&](const auto& chain) { return chain->passes(input); })) {
      for (const auto& chain : chains_) chain->check_nothing_waits(*this);
      return false;
    }
  }
  outputs[0] = input;
  counters_.count(BoundKernel::Outcome::done);
  return true;
}

CallTurn SlotState::run(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  bool training;  // asked for in one step where nothing is pinned: trains() would take a bound call 2 ns more
  if (const uint8_t chosen = chosen_.load(std::memory_order_relaxed); chosen == kByModule) {
    training = owner_->is_training();
  } else {
    if ((chosen & kPasses) != 0 && pass(inputs, outputs, count)) return CallTurn::kernel;
    training = trains();
    if ((chosen & kTries) != 0 && !training) return run_fastest(inputs, outputs, count);
  }
  return run_kernel(inputs, outputs, count, training);
}

inline CallTurn SlotState::run_kernel(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count, bool training) {
  const BoundKernel* kernel = kernel_of(training).load(std::memory_order_acquire);
  if (kernel == nullptr) [[unlikely]] return left_to_own(training);
  if (!kernel->deterministic() && !may_run(*kernel)) return CallTurn::own;
  const BoundKernel::Outcome outcome = call(*kernel, inputs, outputs, count);
  if (outcome == BoundKernel::Outcome::done) [[likely]] return CallTurn::kernel;
  return settle(outcome, kernel, training, inputs, outputs, count);
}

inline BoundKernel::Outcome SlotState::call(const BoundKernel& kernel, std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  try {
    const BoundKernel::Outcome outcome =
        is_watched() ? call_watched(kernel, inputs, outputs, count) : kernel.call(inputs, outputs, count);
    counters_.count(outcome);
    return outcome;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::plugin) counters_.count(BoundKernel::Outcome::failed);
    throw;
  }
}

BoundKernel::Outcome SlotState::call_watched(const BoundKernel& kernel, std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  return watched(*this, kernel, inputs, counters_, [&] { return kernel.call(inputs, outputs, count); });
}

CallTurn SlotState::settle(BoundKernel::Outcome outcome, const BoundKernel* kernel, bool training, std::initializer_list<TensorArg> inputs,
                       at::Tensor* outputs, size_t count) {
  while (outcome == BoundKernel::Outcome::stale) {
    bool changed = false;
    kernel = rebind(kernel, training, changed);
    if (changed) event_sink::tell(report());
    if (kernel == nullptr) return left_to_own(training);
    outcome = call(*kernel, inputs, outputs, count);
  }
  if (outcome == BoundKernel::Outcome::unfit) return left_to_own(training);
  if (outcome == BoundKernel::Outcome::failed) {
    if (!use_fallback_) {
      throw Error(ErrorCode::plugin, "kernel " + kernel->kernel().ref.str(), BoundKernel::failure(),
                  "set use_fallback = true to let the layer's own forward take over");
    }
    if (count_failure(kernel, training)) event_sink::tell(report());
  }
  return outcome == BoundKernel::Outcome::done ? CallTurn::kernel : CallTurn::own;
}

CallTurn SlotState::left_to_own(bool training) const {
  if (!use_fallback_) throw_missing(training);
  return CallTurn::own;
}

CallTurn SlotState::run_fastest(std::initializer_list<TensorArg> inputs, at::Tensor* outputs, size_t count) {
  SpeedTrial* trial = trial_.load(std::memory_order_acquire);
  const BoundKernel* kernel = inference_.load(std::memory_order_acquire);
  const bool compares = trial != nullptr && kernel != nullptr && !kernel->gradient_needed(inputs) &&
                        (kernel->deterministic() || !determinism_is_asked_for());
  uint64_t inputs_class = 0;
  bool timed = false;
  if (compares) {
    const uint32_t findings = trial->findings();
    if (told_findings_.load(std::memory_order_relaxed) != findings && told_findings_.exchange(findings) != findings) event_sink::tell(report());
    inputs_class = SpeedTrial::class_of(inputs);
    const SpeedTrial::Keeps keeps = trial->keeps(inputs_class);
    if (keeps == SpeedTrial::Keeps::own) return CallTurn::own;
    timed = keeps == SpeedTrial::Keeps::open && !Capturing::now() && kernel->plan_ahead(inputs);
    if (timed && trial->next(inputs_class, inputs) == SpeedTrial::Side::own) {
      trial->begin_own(inputs_class);
      return CallTurn::timed_own;
    }
  }
  const auto start = timed ? trial->now() : SpeedTrial::Clock::time_point();
  const CallTurn turn = run_kernel(inputs, outputs, count, /*training=*/false);
  if (!timed) return turn;
  const auto time = trial->now() - start;
  turn == CallTurn::kernel ? trial->kernel_ran(inputs_class, time) : trial->give_up(inputs_class);
  return turn;
}

void SlotState::throw_missing(bool training) const {
  const std::lock_guard lock(mutex_);
  const LayerLine& line = training ? training_line_ : inference_line_;
  if (line.state != LayerState::fallback) return;
  throw Error(ErrorCode::unsupported, where(*this) + " in " + (training ? "training" : "inference"), line.reason,
              "set use_fallback = true to let the layer's own forward take over");
}

std::shared_ptr<const BoundKernel> SlotState::made_again(const BoundKernel& stale, std::string& why) const {
  std::optional<LayerFacts> now;
  try {
    const LayerFacts& then = stale.facts();
    now = then.chain != nullptr ? then.chain->facts(then.chain, then.device, then.dtype) : facts(then.device, then.dtype);
    now->operator_kernel = then.operator_kernel;
    return std::make_shared<const BoundKernel>(stale.held_kernel(), *now);
  } catch (const Error& error) {
    why = (stale.waits() ? "" : "a weight changed, and then: ") + error.why();
  }
  return now ? BoundKernel::unfit(stale.held_kernel(), std::move(*now)) : nullptr;
}

const BoundKernel* SlotState::rebind(const BoundKernel* stale, bool training, bool& changed) {
  const std::lock_guard lock(mutex_);
  const BoundKernel* current = kernel_of(training).load(std::memory_order_acquire);
  if (current != stale) return current;  // another thread was faster
  std::string why;
  const std::shared_ptr<const BoundKernel> fresh = made_again(*stale, why);
  for (bool mode : {false, true}) {  // it may serve both
    if (kernel_of(mode).load(std::memory_order_relaxed) != stale) continue;
    kernel_of(mode).store(fresh.get(), std::memory_order_release);
    LayerLine& line = line_of(mode);
    const LayerState state = why.empty() ? LayerState::bound : LayerState::fallback;
    changed |= mode == training && line.state != state;
    if (!why.empty()) line.reason = why;
    if (why.empty() && line.state != state) line.reason = remark(stale->kernel());  // it was unfit for a while
    line.state = state;
  }
  if (stale->facts().chain != nullptr) stale->facts().chain->give_up(why);  // empty: it is in force again
  // An optimizer's step changes every weight: without this, each would leave a kernel behind.
  const auto mine = std::find_if(kernels_.begin(), kernels_.end(), [&](const auto& kept) { return kept.get() == stale; });
  if (mine != kernels_.end()) {
    outdated_ = std::move(*mine);
    kernels_.erase(mine);
  }
  keep(fresh);
  refresh_active();
  return fresh.get();
}

bool SlotState::count_failure(const BoundKernel* kernel, bool training) {
  const int failures = ++failures_;
  const std::lock_guard lock(mutex_);
  if (kernel_of(training).load(std::memory_order_relaxed) != kernel) return false;
  for (bool mode : {false, true}) {
    if (kernel_of(mode).load(std::memory_order_relaxed) != kernel) continue;
    line_of(mode).reason = "failed " + std::to_string(failures) + " × while running: " + BoundKernel::failure();
    if (failures < kFailuresUntilUnbound) continue;
    line_of(mode).state = LayerState::fallback;
    kernel_of(mode).store(nullptr, std::memory_order_release);
    if (kernel->facts().chain != nullptr) kernel->facts().chain->give_up("its kernel " + line_of(mode).reason);
  }
  refresh_active();
  return failures >= kFailuresUntilUnbound;
}

}  // namespace graft
