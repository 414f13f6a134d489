#include "bound_kernel.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <span>

#include "autograd.h"
#include "determinism.h"
#include "file_pages.h"
#include "fused_chain.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/loaded_plugin.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "kernel_call.h"
#include "slot_call.h"
#include "tensor_view.h"

namespace graft {
namespace {

thread_local std::string last_failure;

}  // namespace

const std::string& BoundKernel::failure() {
  return last_failure;
}

BoundKernel::BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts)
    : BoundKernel(std::move(kernel), std::move(facts), Unprepared()) {
  through_operator_ = !this->facts().operator_kernel.empty();
  special_ = through_operator_ || this->facts().chain != nullptr;
  if (!through_operator_) prepare();  // an operator has instances of its own, by their weights
}

void BoundKernel::check(std::shared_ptr<const Kernel> kernel, LayerFacts facts) {
  const BoundKernel checked(std::move(kernel), std::move(facts), Unprepared());
}

std::shared_ptr<const BoundKernel> BoundKernel::unfit(std::shared_ptr<const Kernel> kernel, LayerFacts facts) {
  return std::shared_ptr<const BoundKernel>(new BoundKernel(std::move(kernel), std::move(facts), Unfit()));
}

BoundKernel::BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts, Unfit)
    : instance_(std::make_shared<KernelInstance>(std::move(kernel), std::move(facts))), unfit_(true) {
  watch_weights();
  deterministic_ = is_deterministic(this->kernel());
}

std::shared_ptr<const BoundKernel> BoundKernel::waiting(std::shared_ptr<const Kernel> kernel, LayerFacts facts) {
  const std::shared_ptr<BoundKernel> made(new BoundKernel(std::move(kernel), std::move(facts), Unprepared()));
  made->check_data();
  made->waits_ = made->special_ = true;
  return made;
}

void BoundKernel::watch_weights() {
  const std::vector<at::Tensor>& weights = facts().weights;
  for (size_t i = 0; i < weights.size(); ++i) {
    const at::Tensor& tensor = weights[i];
    if (!tensor.defined()) continue;
    const c10::Storage& storage = tensor.storage();
    weights_.push_back({i, tensor, view(tensor), version_of(tensor), storage.getWeakStorageImpl(), storage.data(), tensor.storage_offset()});
  }
}

BoundKernel::BoundKernel(std::shared_ptr<const Kernel> kernel, LayerFacts facts, Unprepared)
    : instance_(std::make_shared<KernelInstance>(std::move(kernel), std::move(facts))) {
  const LayerFacts& layer = this->facts();
  const graft_contract& contract = layer.plan->contract();
  const graft_entry& entry = *this->kernel().entry;
  const std::string name = "kernel " + this->kernel().ref.str();
  check_served(*instance_);
  template_.resize(contract.argument_count);
  watch_weights();
  for (Weight& weight : weights_) {
    if (weight.tensor.is_meta()) weight.view.device = to_graft(layer.device);
    template_[weight.position] = as_value(&weight.view);
  }

  if (std::string why; !layer.plan->check(template_.data(), binding_, ContractPart::weights, &why)) {
    throw Error(ErrorCode::unsupported, name, why, "map a kernel whose contract fits the layer's weights");
  }

  create(*instance_);
  // In-place results would have to take the place of their own inputs in the graph: the layer's own forward
  // does that.
  inout_ =
      std::any_of(contract.arguments, contract.arguments + contract.argument_count,
                  [](const graft_argument& argument) { return argument.direction == GRAFT_INOUT; });
  differentiable_ = (entry.flags & GRAFT_ENTRY_HAS_BACKWARD) != 0 && !inout_;
  off_cpu_ = !layer.device.is_cpu();
  deterministic_ = is_deterministic(this->kernel());
  forward_ = entry.forward;
  cpu_call_ = make_cpu_call(ThreadPool::shared(), nullptr, 0);
  prepares_ = entry.prepare != nullptr;
}

void BoundKernel::check_data() const {
  for (const Weight& weight : weights_) {
    if (!weight.tensor.is_meta()) continue;
    throw Error(ErrorCode::unsupported, "kernel " + kernel().ref.str(),
                "the layer's weights are on the meta device, which holds no data",
                "load the model, or ask plan_kernels() what would be bound");
  }
}

void BoundKernel::prepare() {
  check_data();
  graft::prepare(*instance_, template_.data());
  if ((kernel().entry->flags & GRAFT_ENTRY_PREPACKS) != 0) {
    for (const Weight& weight : weights_) {
      template_[weight.position] = graft_value{};
      release_pages(weight.tensor);  // they come back if the layer falls back
    }
  }
}

bool BoundKernel::is(const Kernel& other, const LayerFacts& now) const {
  const LayerFacts& then = facts();
  return is(other) && then.plan == now.plan && then.device == now.device && then.dtype == now.dtype &&
         then.operator_kernel == now.operator_kernel &&
         std::equal(then.weights.begin(), then.weights.end(), now.weights.begin(), now.weights.end(),
                    [](const at::Tensor& a, const at::Tensor& b) { return a.is_same(b); });
}

bool BoundKernel::is(const Kernel& other) const {
  return !unfit_ && kernel().entry == other.entry && kernel().repo == other.repo &&
         kernel().commit == other.commit && !weights_changed();
}

bool BoundKernel::something_needs_gradient(std::initializer_list<TensorArg> inputs) const {
  return std::any_of(
             inputs.begin(), inputs.end(),
             [](const TensorArg& input) { return input.get() != nullptr && input.get()->requires_grad(); }) ||
         std::any_of(weights_.begin(), weights_.end(),
                     [](const Weight& weight) { return weight.tensor.requires_grad(); });
}

BoundKernel::Outcome BoundKernel::call_specially(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                                 size_t output_count) const {
  if (waits_) return Outcome::stale;
  const Outcome outcome = through_operator_ ? call_through_operator(inputs, outputs, output_count)
                                            : call_itself(inputs, outputs, output_count);
  if (outcome == Outcome::done && facts().chain != nullptr && output_count > 0) facts().chain->made(outputs[0]);
  return outcome;
}

BoundKernel::Outcome BoundKernel::call_otherwise(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                                 size_t output_count, bool for_backward) const {
  std::unique_ptr<CallPlan> unkept;
  const CallPlan* plan = plans_.find(inputs, for_backward);
  if (plan == nullptr) {
    if (unfit_) return Outcome::unfit;
    if (for_backward && !differentiable_) return Outcome::unsupported;
    Outcome why;
    plan = plan_anew(inputs, for_backward, unkept, why);
    if (plan == nullptr) return why;
  }
  return call_as_planned(*plan, inputs, outputs, output_count);
}

BoundKernel::Outcome BoundKernel::call_as_planned(const CallPlan& plan,
                                                  std::initializer_list<TensorArg> inputs,
                                                  at::Tensor* outputs, size_t output_count) const {
  if (!plan.served) return Outcome::unsupported;
  if (plan.returned > output_count) throw_too_many_outputs();
  const OnDevice on_its_device(facts().device);
  if (off_cpu_ && Capturing::now() && (kernel().entry->flags & GRAFT_ENTRY_GRAPH_SAFE) == 0)
    return Outcome::unsupported;
  if (!plan.for_backward && !plan.copies) return run_in_frame(plan, inputs.begin(), outputs, nullptr);
  SavedOutputs saved;
  const Outcome outcome = [&] {
    const at::NoGradGuard no_grad;  // copies are no steps of the graph
    if (!plan.copies) return run_in_frame(plan, inputs.begin(), outputs, saved.data());
    std::array<at::Tensor, kMaxArguments> copies;
    std::vector<TensorArg> given(inputs);
    for (const CallPlan::Input& input : plan.inputs) {
      if (!input.copied) continue;
      copies[input.number] = given[input.number].get()->contiguous();
      given[input.number] = copies[input.number];
    }
    return run_in_frame(plan, given.data(), outputs, saved.data());
  }();
  if (outcome == Outcome::done && plan.for_backward) record(inputs, outputs, saved, plan.backward_workspace);
  return outcome;
}

const CallPlan* BoundKernel::plan_anew(std::initializer_list<TensorArg> inputs, bool for_backward, std::unique_ptr<CallPlan>& unkept,
                                       Outcome& why) const {
  unkept = plan_call(*facts().plan, template_, binding_, inputs, for_backward, facts().device, facts().dtype, kernel().ref.str());
  why = unkept == nullptr ? Outcome::unsupported : Outcome::failed;
  if (unkept == nullptr || !ask_entry(*unkept)) return nullptr;
  const CallPlan* kept = plans_.keep(unkept);
  return kept != nullptr ? kept : unkept.get();
}

bool BoundKernel::plan_ahead(std::initializer_list<TensorArg> inputs) const {
  if (weights_changed() || unfit_) return false;
  std::unique_ptr<CallPlan> unkept;
  Outcome why;
  const CallPlan* plan = plans_.find(inputs, /*for_backward=*/false);
  if (plan == nullptr) plan = plan_anew(inputs, /*for_backward=*/false, unkept, why);
  return plan != nullptr && plan->served;
}

BoundKernel::Outcome BoundKernel::call_through_operator(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                                   size_t output_count) const {
  if (weights_changed()) return Outcome::stale;  // their device may be another now
  for (const TensorArg& input : inputs) {
    if (input.get() != nullptr && input.get()->device() != facts().device) return Outcome::unsupported;
  }
  try {
    call_operator(facts(), inputs, outputs, output_count);
    return Outcome::done;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unsupported) return Outcome::unsupported;
    if (error.code() != ErrorCode::plugin) throw;
    last_failure = error.why();
    return Outcome::failed;
  }
}

BoundKernel::Outcome BoundKernel::run_in_frame(const CallPlan& plan, const TensorArg* inputs,
                                               at::Tensor* outputs, at::Tensor* saved) const {
  CallFrame frame(plan);
  uintptr_t misaligned = 0;
  for (const CallPlan::Input& input : plan.inputs) {
    const at::Tensor& tensor = *inputs[input.number].get();
    void* data = input.written ? data_for_writing(tensor, input.itemsize) : data_for_reading(tensor, input.itemsize);
    misaligned |= reinterpret_cast<uintptr_t>(data) & input.misaligned;
    frame.pass(input.position, input.view, data);
  }
  if (misaligned != 0) throw_misaligned(frame.arguments());
  return run(plan, frame, outputs, saved);
}

BoundKernel::Outcome BoundKernel::forward_with_more(size_t workspace, const graft_value* arguments) const {
  const KernelCall call(facts().device, workspace);
  return forward(call.get(), arguments);
}

BoundKernel::Outcome BoundKernel::failed(graft_status status) const {
  if (status == GRAFT_UNSUPPORTED && !inout_) return Outcome::unsupported;
  last_failure = status_name(status) + (plugin_message().empty() ? "" : ": " + plugin_message());
  if (inout_ || status == GRAFT_DEVICE_LOST) throw_plugin_error(status, kernel().ref.str(), "forward");
  return Outcome::failed;
}

void BoundKernel::throw_too_many_outputs() const {
  throw Error(ErrorCode::invalid_argument, "call of " + kernel().ref.str(),
              std::string(instance_->contract().name) + " has more outputs than the layer takes",
              "let own() return a std::tuple of all outputs");
}

void BoundKernel::throw_misaligned(const graft_value* arguments) const {
  ContractBinding binding = binding_;
  std::string why;
  facts().plan->check(arguments, binding, ContractPart::inputs, &why);
  throw broken_contract(instance_->contract(), kernel().ref.str(), why);
}

bool BoundKernel::ask_entry(CallPlan& plan) const {
  if (!plan.served) return true;
  std::vector<graft_value> arguments = template_;
  for (const CallPlan::Input& input : plan.inputs) arguments[input.position] = as_value(&input.view);
  for (const CallPlan::Output& output : plan.outputs) arguments[output.position] = as_value(&output.view);

  const graft_entry& entry = *kernel().entry;
  if (entry.supports != nullptr) {
    const graft_status status = call_plugin([&] {
      return entry.supports(&entry, &instance_->contract(), facts().attributes.data(), arguments.data());
    });
    plan.served = status == GRAFT_OK;
    if (!plan.served) return true;
  }
  graft_status status = workspace_size(GRAFT_WORKSPACE_FORWARD, arguments.data(), &plan.workspace);
  // Asked for now, while the layer's own forward can still take over.
  if (status == GRAFT_OK && plan.for_backward) {
    status = workspace_size(GRAFT_WORKSPACE_BACKWARD, arguments.data(), &plan.backward_workspace);
  }
  if (status != GRAFT_OK) last_failure = status_name(status) + " in workspace_size: " + plugin_message();
  return status == GRAFT_OK;
}

graft_status BoundKernel::workspace_size(uint32_t pass, const graft_value* arguments, size_t* bytes) const {
  const graft_entry& entry = *kernel().entry;
  if (entry.workspace_size == nullptr) return GRAFT_OK;
  std::array<graft_value, kMaxArguments> with_weights;
  if (pass == GRAFT_WORKSPACE_BACKWARD) {  // which gets the weights even of an entry that PREPACKS
    std::copy_n(arguments, template_.size(), with_weights.begin());
    for (const Weight& weight : weights_) with_weights[weight.position] = as_value(&weight.view);
    arguments = with_weights.data();
  }
  return call_plugin([&] {
    return entry.workspace_size(instance_->made, pass, arguments, uint32_t(ThreadPool::shared().size()),
                                bytes);
  });
}

void BoundKernel::record(std::initializer_list<TensorArg> inputs, const at::Tensor* outputs,
                         const SavedOutputs& saved, size_t backward_workspace) const {
  const graft_contract& contract = facts().plan->contract();
  std::array<const at::Tensor*, kMaxArguments> tensors{};
  const TensorArg* input = inputs.begin();
  for (size_t i = 0; i < contract.argument_count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if (is_weight(argument)) {
      tensors[i] = &facts().weights[i];
    } else if (is_input(argument)) {
      if (input != inputs.end()) tensors[i] = (input++)->get();
    } else {
      tensors[i] = is_saved(argument) ? &saved[i] : outputs++;
    }
  }
  record_backward(instance_, {tensors.data(), contract.argument_count}, backward_workspace);
}

}  // namespace graft
