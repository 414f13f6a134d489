#include "run.h"

#include <algorithm>

#include "call_values.h"
#include "determinism.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "kernel_call.h"
#include "schema.h"
#include "served_kernels.h"

namespace graft {
namespace {

std::string what(const OperatorCall& call, OperatorKind kind) {
  return operator_name(call.contract(), kind) + " with kernel " + *call.kernel;
}

[[noreturn]] void refuse(const OperatorCall& call, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, what(call, OperatorKind::call), why,
              "give it inputs that the contract allows");
}

/// For the entry's answer `status` to `function`.
void check(graft_status status, const OperatorCall& call, OperatorKind kind, const char* function) {
  if (status == GRAFT_OK) return;
  const std::string said = plugin_message().empty() ? "" : ": " + plugin_message();
  if (status == GRAFT_UNSUPPORTED) {
    throw Error(ErrorCode::unsupported, what(call, kind),
                "the kernel does not serve these shapes, strides or attributes" + said,
                "name another kernel, or run the layer's own code: an operator has none to fall back on");
  }
  throw Error(ErrorCode::plugin, what(call, kind), function + (" returned " + status_name(status)) + said,
              "report it to the kernel's author");
}

/// The contract's inputs of a call as the entry gets them.
void set_inputs(CallValues& values, const OperatorCall& call) {
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    const graft_argument& argument = call.contract().arguments[i];
    at::Tensor tensor = call.tensors[i];
    if (!tensor.defined()) continue;
    if (tensor.device() != call.device())
      refuse(call, std::string(argument.name) + " is on " + tensor.device().str() + ", others on " + call.device().str());
    values.set(i, strides_fit(tensor, argument.flags) ? std::move(tensor) : tensor.contiguous());
  }
}

void remove_weights(CallValues& values, const graft_contract& contract) {
  for (uint32_t i = 0; i < contract.argument_count; ++i)
    if (is_weight(contract.arguments[i])) values.remove(i);
}

size_t workspace(const KernelInstance& instance, uint32_t pass, const CallValues& values,
                 const OperatorCall& call) {
  const graft_entry& entry = *instance.kernel.entry;
  size_t bytes = 0;
  if (entry.workspace_size == nullptr) return bytes;
  check(call_plugin([&] {
          return entry.workspace_size(instance.made, pass, values.data(),
                                      uint32_t(ThreadPool::shared().size()), &bytes);
        }),
        call, pass == GRAFT_WORKSPACE_FORWARD ? OperatorKind::call : OperatorKind::backward,
        "workspace_size");
  return bytes;
}

void check_determinism(const KernelInstance& instance) {
  if (is_deterministic(instance.kernel)) return;
  at::globalContext().alertNotDeterministic("kernel " + instance.kernel.ref.str());
}

/// Shapes of forward's arguments that backward does not have any more: they bind dimensions, and say how much
/// workspace it needs.
class PastShapes {
 public:
  void set_input(CallValues& values, size_t i, const std::vector<c10::SymInt>& sizes, graft_dtype dtype) {
    if (sizes.size() > kMaxRank) return;  // absent to the contract's check, which then refuses the call
    for (size_t d = 0; d < sizes.size(); ++d) sizes_[i][d] = sizes[d].expect_int();
    set(values, i, sizes.size(), dtype);
  }
  void set_output(CallValues& values, size_t i, const ContractPlan& plan, const ContractBinding& binding) {
    const int rank = plan.output_shape(i, binding, sizes_[i].data());
    if (rank >= 0) set(values, i, size_t(rank), plan.output_dtype(i, binding));
  }

 private:
  void set(CallValues& values, size_t i, size_t rank, graft_dtype dtype) {
    int64_t stride = 1;
    for (size_t d = rank; d-- > 0; stride *= sizes_[i][d]) strides_[i][d] = stride;
    values.set_shape(i, {sizes_[i].data(), rank}, {strides_[i].data(), rank}, dtype);
  }
  std::array<std::array<int64_t, kMaxRank>, kMaxArguments> sizes_, strides_;
};

/// The gradients of the outputs; false if none came in.
bool set_grad_outputs(CallValues& values, const BackwardCall& call, const ContractBinding& binding) {
  size_t output = 0;
  bool any = false;
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    const graft_argument& argument = call.contract().arguments[i];
    if (is_input(argument) || is_saved(argument)) continue;
    const at::Tensor& gradient = call.grad_outputs[output++];
    if (!gradient.defined()) continue;
    std::array<int64_t, kMaxRank> shape;
    const int rank = call.plan->output_shape(i, binding, shape.data());
    if (rank < 0 || gradient.sizes() != at::IntArrayRef(shape.data(), size_t(rank)) || gradient.device() != call.device() ||
        !same_dtype(to_graft(gradient.scalar_type()), call.plan->output_dtype(i, binding))) {
      refuse(call,
             std::string("the gradient of ") + argument.name + " has another shape, dtype or device than it");
    }
    values.set(output - 1, plain(gradient));
    any = true;
  }
  return any;
}

/// Allocates what is asked for, by the inputs' own sizes; the mask of it.
uint64_t set_grad_inputs(CallValues& values, std::vector<at::Tensor>& gradients, const BackwardCall& call,
                         const CallValues& arguments, const ContractBinding& binding) {
  uint64_t needed = 0;
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    if (!is_input(call.contract().arguments[i])) continue;
    const size_t input = gradients.size();
    at::Tensor& gradient = gradients.emplace_back();
    const graft_value& argument = arguments.data()[i];
    if ((call.needs_gradient >> input & 1) == 0 || argument.tag != GRAFT_TENSOR) continue;
    const graft_tensor& shape = *argument.as.tensor;
    gradient =
        allocate({shape.shape, size_t(shape.ndim)}, to_torch(call.plan->output_dtype(i, binding)), call.device());
    values.set(input, gradient);
    needed |= uint64_t(1) << input;
  }
  return needed;
}

at::ScalarType layer_dtype(const ContractBinding& binding) {
  return binding.dtype.bits != 0 ? to_torch(binding.dtype) : at::kFloat;
}

}  // namespace

std::vector<at::Tensor> run_forward(const OperatorCall& call, bool saved) {
  const graft_contract& contract = call.contract();
  const OperatorKind kind = saved ? OperatorKind::forward : OperatorKind::call;
  const OnDevice on_its_device(call.device());
  CallValues values;
  set_inputs(values, call);
  ContractBinding binding;
  if (std::string why; !call.plan->check(values.data(), binding, ContractPart::all, &why)) refuse(call, why);

  const auto instance = ServedKernels::shared().instance(call, layer_dtype(binding));
  const graft_entry& entry = *instance->kernel.entry;
  check_determinism(*instance);
  if (saved && (entry.flags & GRAFT_ENTRY_HAS_BACKWARD) == 0) {
    throw Error(ErrorCode::unsupported, what(call, kind), "it has no backward, and an input needs a gradient",
                "name a kernel that has, or call it under torch.no_grad()");
  }
  if ((entry.flags & GRAFT_ENTRY_PREPACKS) != 0) remove_weights(values, contract);

  std::vector<at::Tensor> outputs;
  for (const size_t i : output_order(contract, saved)) {
    std::array<int64_t, kMaxRank> shape;
    const int rank = call.plan->output_shape(i, binding, shape.data());
    if (rank < 0)
      refuse(call, std::string("its inputs do not say the shape of ") + contract.arguments[i].name);
    outputs.push_back(
        allocate({shape.data(), size_t(rank)}, to_torch(call.plan->output_dtype(i, binding)), call.device()));
    values.set(i, outputs.back());
  }

  if (entry.supports != nullptr) {
    check(
        call_plugin([&] { return entry.supports(&entry, &contract, call.attributes.data(), values.data()); }),
        call, kind, "supports");
  }
  const size_t bytes = workspace(*instance, GRAFT_WORKSPACE_FORWARD, values, call);
  const KernelCall context(call.device(), bytes);
  check(call_plugin([&] { return entry.forward(instance->made, context.get(), values.data()); }), call, kind,
        "forward");
  return outputs;
}

std::vector<at::Tensor> run_backward(const BackwardCall& call) {
  const graft_contract& contract = call.contract();
  const OnDevice on_its_device(call.device());
  CallValues values, grad_outputs, grad_inputs;
  PastShapes past;
  set_inputs(values, call);
  ContractBinding binding;
  binding.dtype = call.dtype;
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (backward_takes(contract.arguments[i]) == BackwardTakes::sizes)
      past.set_input(values, i, call.input_sizes[i], call.plan->output_dtype(i, binding));
  }
  if (std::string why; !call.plan->check(values.data(), binding, ContractPart::all, &why)) refuse(call, why);

  std::vector<at::Tensor> gradients;
  if (!set_grad_outputs(grad_outputs, call, binding)) return std::vector<at::Tensor>(input_count(contract));
  const uint64_t needed = set_grad_inputs(grad_inputs, gradients, call, values, binding);

  const auto instance = ServedKernels::shared().instance(call, layer_dtype(binding));
  const graft_entry& entry = *instance->kernel.entry;
  check_determinism(*instance);
  if ((entry.flags & GRAFT_ENTRY_HAS_BACKWARD) == 0) {
    throw Error(ErrorCode::unsupported, what(call, OperatorKind::backward), "it has no backward",
                "name a kernel that has");
  }
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (!is_input(contract.arguments[i]) && !call.tensors[i].defined())
      past.set_output(values, i, *call.plan, binding);
  }
  const size_t bytes = workspace(*instance, GRAFT_WORKSPACE_BACKWARD, values, call);
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (!is_for_backward(contract.arguments[i])) values.remove(i);
  }
  const KernelCall context(call.device(), bytes);
  check(call_plugin([&] {
          return entry.backward(instance->made, context.get(), values.data(), grad_outputs.data(), needed,
                                grad_inputs.data());
        }),
        call, OperatorKind::backward, "backward");
  return gradients;
}

}  // namespace graft
