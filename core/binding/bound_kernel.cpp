#include "bound_kernel.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/loaded_plugin.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "scratch.h"
#include "tensor_view.h"

namespace graft {
namespace {

constexpr size_t kMaxArguments = 24;

thread_local std::string last_failure;

int64_t version_of(const at::Tensor& tensor) { return tensor.is_inference() ? 0 : tensor._version(); }

/// Row-major, or with unit stride in the last dimension, as the contract's flags ask.
bool strides_fit(const at::Tensor& tensor, uint32_t flags) {
  if ((flags & GRAFT_ARG_STRIDED) != 0) return true;
  if ((flags & GRAFT_ARG_ROWS) != 0) return tensor.dim() == 0 || tensor.size(-1) <= 1 || tensor.stride(-1) == 1;
  return tensor.is_contiguous();
}

bool is_input(const graft_argument& argument) { return argument.direction != GRAFT_OUT; }
bool is_weight(const graft_argument& argument) { return (argument.flags & GRAFT_ARG_WEIGHT) != 0; }

at::Tensor allocate(at::IntArrayRef sizes, at::ScalarType type, c10::Device device) {
  if (device.is_cpu()) return at::Tensor(at::detail::empty_cpu(sizes, type));
  return at::empty(sizes, at::TensorOptions(device).dtype(type));
}

}  // namespace

const std::string& BoundKernel::failure() { return last_failure; }

BoundKernel::BoundKernel(Kernel kernel, LayerFacts facts)
    : BoundKernel(std::move(kernel), std::move(facts), Unprepared()) {
  prepare();
}

void BoundKernel::check(Kernel kernel, LayerFacts facts) {
  const BoundKernel checked(std::move(kernel), std::move(facts), Unprepared());
}

BoundKernel::BoundKernel(Kernel kernel, LayerFacts facts, Unprepared)
    : kernel_(std::move(kernel)), facts_(std::move(facts)) {
  const graft_contract& contract = facts_.plan->contract();
  const graft_entry& entry = *kernel_.entry;
  const std::string name = "kernel " + kernel_.ref.str();
  if (!fulfils(entry, contract.name)) {
    throw Error(ErrorCode::unsupported, name,
                "its contract is " + contract_names(entry) + ", the layer's is " + contract.name,
                "map the layer to an entry with that contract");
  }
  const graft_device device = to_graft(facts_.device);
  if (entry.device_type != device.type || device.type != GRAFT_DEVICE_CPU) {
    throw Error(ErrorCode::unsupported, name, "the layer is on " + facts_.device.str() + ", and kernels are called on CPU only",
                "leave the layer unmapped for this device");
  }
  const graft_dtype dtype = to_graft(facts_.dtype);
  const std::span served_dtypes(entry.dtypes, entry.dtype_count);
  if (std::none_of(served_dtypes.begin(), served_dtypes.end(), [&](graft_dtype d) { return same_dtype(d, dtype); })) {
    std::string served;
    for (graft_dtype d : served_dtypes) served += (served.empty() ? "" : ", ") + dtype_name(d);
    throw Error(ErrorCode::unsupported, name, "it serves " + served + "; the layer is in " + dtype_name(dtype),
                "load the model with one of these dtypes, or map another kernel");
  }

  if (contract.argument_count > kMaxArguments) {
    throw Error(ErrorCode::unsupported, name, std::string(contract.name) + " has more than 24 arguments");
  }
  template_.resize(contract.argument_count);
  for (size_t i = 0; i < facts_.weights.size(); ++i) {
    const at::Tensor& tensor = facts_.weights[i];
    if (!tensor.defined()) continue;
    weights_.push_back({i, tensor, view(tensor), version_of(tensor)});
    if (tensor.is_meta()) weights_.back().view.device = device;
  }
  for (Weight& weight : weights_) template_[weight.position] = as_value(&weight.view);

  if (std::string why; !facts_.plan->check(template_.data(), binding_, ContractPart::weights, &why)) {
    throw Error(ErrorCode::unsupported, name, why, "map a kernel whose contract fits the layer's weights");
  }

  graft_instance* made = nullptr;
  const graft_status status = call_plugin([&] {
    return entry.create(&entry, &contract, device, facts_.attributes.data(), &made);
  });
  if (status != GRAFT_OK) throw_plugin_error(status, name, "create");
  instance_ = {made, GiveBack{&entry}};
}

void BoundKernel::prepare() {
  const graft_entry& entry = *kernel_.entry;
  const std::string name = "kernel " + kernel_.ref.str();
  for (const Weight& weight : weights_) {
    if (!weight.tensor.is_meta()) continue;
    throw Error(ErrorCode::unsupported, name, "the layer's weights are on the meta device, which holds no data",
                "load the model, or ask plan_kernels() what would be bound");
  }
  if (entry.prepare != nullptr) {
    const graft_status status = call_plugin([&] { return entry.prepare(instance_.get(), template_.data()); });
    if (status != GRAFT_OK) throw_plugin_error(status, name, "prepare");
  }
  if ((entry.flags & GRAFT_ENTRY_PREPACKS) != 0) {
    for (const Weight& weight : weights_) template_[weight.position] = graft_value{};
  }
}

void BoundKernel::GiveBack::operator()(graft_instance* instance) const {
  if (entry->destroy == nullptr || plugins_are_gone()) return;
  call_plugin([&] {
    entry->destroy(instance);
    return GRAFT_OK;
  });
}

bool BoundKernel::weights_changed() const {
  for (const Weight& weight : weights_) {
    if (weight.tensor.const_data_ptr() != weight.view.data || version_of(weight.tensor) != weight.version) return true;
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
  if (gradient_needed(inputs)) return Outcome::unsupported;
  if (weights_changed()) return Outcome::stale;

  const graft_contract& contract = facts_.plan->contract();
  const graft_entry& entry = *kernel_.entry;
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
    if (tensor->device() != facts_.device || tensor->layout() != at::kStrided || tensor->is_conj() || tensor->is_neg()) {
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
  if (std::string why; !facts_.plan->check(arguments.data(), binding, ContractPart::inputs, &why)) {
    throw Error(ErrorCode::invalid_argument, "call of " + kernel_.ref.str() + " (" + contract.name + ")", why,
                "give the layer inputs that its contract allows");
  }
  if (!same_dtype(binding.dtype, to_graft(facts_.dtype))) return Outcome::unsupported;

  size_t output = 0;
  for (size_t i = 0; i < count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if (argument.direction != GRAFT_OUT || (argument.flags & GRAFT_ARG_SAVED) != 0) continue;
    std::array<int64_t, kMaxRank> shape;
    const int rank = facts_.plan->output_shape(i, binding, shape.data());
    if (rank < 0) return Outcome::unsupported;
    if (output >= output_count) {
      throw Error(ErrorCode::invalid_argument, "call of " + kernel_.ref.str(),
                  std::string(contract.name) + " has more outputs than the layer takes",
                  "let own() return a std::tuple of all outputs");
    }
    outputs[output] =
        allocate({shape.data(), size_t(rank)}, to_torch(facts_.plan->output_dtype(i, binding)), facts_.device);
    views[i] = view(outputs[output++]);
    arguments[i] = as_value(&views[i]);
  }

  if (entry.supports != nullptr) {
    const graft_status status = call_plugin([&] {
      return entry.supports(&entry, &contract, facts_.attributes.data(), arguments.data());
    });
    if (status != GRAFT_OK) return Outcome::unsupported;
  }
  ThreadPool& pool = ThreadPool::shared();
  size_t bytes = 0;
  if (entry.workspace_size != nullptr) {
    const graft_status status = call_plugin([&] {
      return entry.workspace_size(instance_.get(), GRAFT_WORKSPACE_FORWARD, arguments.data(), uint32_t(pool.size()), &bytes);
    });
    if (status != GRAFT_OK) {
      last_failure = status_name(status) + " in workspace_size: " + plugin_message();
      return Outcome::failed;
    }
  }
  Scratch scratch(bytes);
  const CpuCall cpu = make_cpu_call(pool, scratch.data(), bytes);
  const graft_status status = call_plugin([&] { return entry.forward(instance_.get(), &cpu.call, arguments.data()); });
  if (status == GRAFT_OK) return Outcome::done;
  if (status == GRAFT_UNSUPPORTED && !inout) return Outcome::unsupported;
  last_failure = status_name(status) + (plugin_message().empty() ? "" : ": " + plugin_message());
  if (inout || status == GRAFT_DEVICE_LOST) throw_plugin_error(status, "kernel " + kernel_.ref.str(), "forward");
  return Outcome::failed;
}

}  // namespace graft
