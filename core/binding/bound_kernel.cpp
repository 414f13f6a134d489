#include "bound_kernel.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "autograd.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/loaded_plugin.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "scratch.h"
#include "slot_call.h"
#include "tensor_view.h"

namespace graft {
namespace {

thread_local std::string last_failure;

int64_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : tensor._version();
}

}  // namespace

const std::string& BoundKernel::failure() {
  return last_failure;
}

BoundKernel::BoundKernel(Kernel kernel, LayerFacts facts)
    : BoundKernel(std::move(kernel), std::move(facts), Unprepared()) {
  if (this->facts().operator_kernel.empty()) prepare();  // an operator has instances of its own, by their weights
}

void BoundKernel::check(Kernel kernel, LayerFacts facts) {
  const BoundKernel checked(std::move(kernel), std::move(facts), Unprepared());
}

BoundKernel::BoundKernel(Kernel kernel, LayerFacts facts, Unprepared)
    : instance_(std::make_shared<KernelInstance>(std::move(kernel), std::move(facts))) {
  const LayerFacts& layer = this->facts();
  const graft_contract& contract = layer.plan->contract();
  const graft_entry& entry = *this->kernel().entry;
  const std::string name = "kernel " + this->kernel().ref.str();
  check_served(*instance_);
  template_.resize(contract.argument_count);
  for (size_t i = 0; i < layer.weights.size(); ++i) {
    const at::Tensor& tensor = layer.weights[i];
    if (!tensor.defined()) continue;
    weights_.push_back({i, tensor, view(tensor), version_of(tensor)});
    if (tensor.is_meta()) weights_.back().view.device = to_graft(layer.device);
  }
  for (Weight& weight : weights_) template_[weight.position] = as_value(&weight.view);

  if (std::string why; !layer.plan->check(template_.data(), binding_, ContractPart::weights, &why)) {
    throw Error(ErrorCode::unsupported, name, why, "map a kernel whose contract fits the layer's weights");
  }

  create(*instance_);
  // In-place results would have to take the place of their own inputs in the graph: the layer's own forward
  // does that.
  const bool inout =
      std::any_of(contract.arguments, contract.arguments + contract.argument_count,
                  [](const graft_argument& argument) { return argument.direction == GRAFT_INOUT; });
  differentiable_ = (entry.flags & GRAFT_ENTRY_HAS_BACKWARD) != 0 && !inout;
}

void BoundKernel::prepare() {
  const graft_entry& entry = *kernel().entry;
  const std::string name = kernel().ref.str();
  for (const Weight& weight : weights_) {
    if (!weight.tensor.is_meta()) continue;
    throw Error(ErrorCode::unsupported, "kernel " + name,
                "the layer's weights are on the meta device, which holds no data",
                "load the model, or ask plan_kernels() what would be bound");
  }
  if (entry.prepare != nullptr) {
    const graft_status status = call_plugin([&] { return entry.prepare(instance_->made, template_.data()); });
    if (status != GRAFT_OK) throw_plugin_error(status, name, "prepare");
  }
  if ((entry.flags & GRAFT_ENTRY_PREPACKS) != 0) {
    for (const Weight& weight : weights_) template_[weight.position] = graft_value{};
  }
}

bool BoundKernel::weights_changed() const {
  // Who has no prepare() reads new values through the old pointer: an optimizer's step needs no new instance.
  const bool prepared = prepares();
  for (const Weight& weight : weights_) {
    if (weight.tensor.const_data_ptr() != weight.view.data) return true;
    if (prepared && version_of(weight.tensor) != weight.version) return true;
  }
  return false;
}

bool BoundKernel::gradient_needed(std::initializer_list<TensorArg> inputs) const {
  if (!at::GradMode::is_enabled()) return false;
  for (const TensorArg& input : inputs) {
    if (input.get() != nullptr && input.get()->requires_grad()) return true;
  }
  for (const Weight& weight : weights_) {
    if (weight.tensor.requires_grad()) return true;
  }
  return false;
}

BoundKernel::Outcome BoundKernel::call(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                       size_t output_count) const {
  if (!facts().operator_kernel.empty()) return through_operator(inputs, outputs, output_count);
  if (!gradient_needed(inputs)) return forward(inputs, outputs, output_count, nullptr);
  if (!differentiable_) return Outcome::unsupported;
  ForBackward for_backward;
  const Outcome outcome = [&] {
    const at::NoGradGuard no_grad;  // copies of strided inputs are no steps of the graph
    return forward(inputs, outputs, output_count, &for_backward);
  }();
  if (outcome == Outcome::done) record(inputs, outputs, for_backward);
  return outcome;
}

BoundKernel::Outcome BoundKernel::through_operator(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
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

BoundKernel::Outcome BoundKernel::forward(std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                                          size_t output_count, ForBackward* for_backward) const {
  if (weights_changed()) return Outcome::stale;

  const LayerFacts& layer = facts();
  const graft_contract& contract = layer.plan->contract();
  const graft_entry& entry = *kernel().entry;
  const size_t count = contract.argument_count;
  std::array<graft_value, kMaxArguments> arguments;
  std::array<graft_tensor, kMaxArguments> views;
  std::array<at::Tensor, 4> made_contiguous;  // copies of inputs whose strides the contract does not allow
  size_t copies = 0;
  std::memcpy(arguments.data(), template_.data(), count * sizeof(graft_value));

  bool inout = false;
  const TensorArg* input = inputs.begin();
  for (size_t i = 0; i < count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if (!is_input(argument) || is_weight(argument)) continue;
    const at::Tensor* tensor = input != inputs.end() ? (input++)->get() : nullptr;
    if (tensor == nullptr) continue;
    if (tensor->device() != layer.device || tensor->layout() != at::kStrided || tensor->is_conj() ||
        tensor->is_neg()) {
      return Outcome::unsupported;
    }
    if (!strides_fit(*tensor, argument.flags)) {
      if (argument.direction == GRAFT_INOUT || copies == made_contiguous.size()) return Outcome::unsupported;
      made_contiguous[copies] = tensor->contiguous();
      tensor = &made_contiguous[copies++];
    }
    inout = inout || argument.direction == GRAFT_INOUT;
    views[i] = view(*tensor);
    arguments[i] = as_value(&views[i]);
  }

  ContractBinding binding = binding_;
  if (std::string why; !layer.plan->check(arguments.data(), binding, ContractPart::inputs, &why)) {
    throw Error(ErrorCode::invalid_argument, "call of " + kernel().ref.str() + " (" + contract.name + ")",
                why, "give the layer inputs that its contract allows");
  }
  if (!same_dtype(binding.dtype, to_graft(layer.dtype))) return Outcome::unsupported;

  size_t output = 0;
  for (size_t i = 0; i < count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if (is_input(argument) || (is_saved(argument) && for_backward == nullptr)) continue;
    std::array<int64_t, kMaxRank> shape;
    const int rank = layer.plan->output_shape(i, binding, shape.data());
    if (rank < 0) return Outcome::unsupported;
    if (!is_saved(argument) && output >= output_count) {
      throw Error(ErrorCode::invalid_argument, "call of " + kernel().ref.str(),
                  std::string(contract.name) + " has more outputs than the layer takes",
                  "let own() return a std::tuple of all outputs");
    }
    at::Tensor& made = is_saved(argument) ? for_backward->saved[i] : outputs[output++];
    made =
        allocate({shape.data(), size_t(rank)}, to_torch(layer.plan->output_dtype(i, binding)), layer.device);
    views[i] = view(made);
    arguments[i] = as_value(&views[i]);
  }

  if (entry.supports != nullptr) {
    const graft_status status = call_plugin(
        [&] { return entry.supports(&entry, &contract, layer.attributes.data(), arguments.data()); });
    if (status != GRAFT_OK) return Outcome::unsupported;
  }
  ThreadPool& pool = ThreadPool::shared();
  size_t bytes = 0;
  graft_status status = workspace_size(GRAFT_WORKSPACE_FORWARD, arguments.data(), &bytes);
  // Asked for now, while all arguments' shapes are at hand, and the layer's own forward too if the answer is
  // no.
  if (status == GRAFT_OK && for_backward != nullptr) {
    status = workspace_size(GRAFT_WORKSPACE_BACKWARD, arguments.data(), &for_backward->workspace);
  }
  if (status != GRAFT_OK) {
    last_failure = status_name(status) + " in workspace_size: " + plugin_message();
    return Outcome::failed;
  }
  Scratch scratch(bytes);
  const CpuCall cpu = make_cpu_call(pool, scratch.data(), bytes);
  status = call_plugin([&] { return entry.forward(instance_->made, &cpu.call, arguments.data()); });
  if (status == GRAFT_OK) return Outcome::done;
  if (status == GRAFT_UNSUPPORTED && !inout) return Outcome::unsupported;
  last_failure = status_name(status) + (plugin_message().empty() ? "" : ": " + plugin_message());
  if (inout || status == GRAFT_DEVICE_LOST) throw_plugin_error(status, kernel().ref.str(), "forward");
  return Outcome::failed;
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
                         const ForBackward& kept) const {
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
      tensors[i] = is_saved(argument) ? &kept.saved[i] : outputs++;
    }
  }
  record_backward(instance_, {tensors.data(), contract.argument_count}, kept.workspace);
}

}  // namespace graft
