#include "call_plan.h"

#include "arguments.h"
#include "graft/dtype.h"
#include "tensor_view.h"

namespace graft {
namespace {

void make_contiguous(const CallPlan::Sizes& sizes, int rank, CallPlan::Sizes& strides) {
  int64_t step = 1;
  for (int d = rank - 1; d >= 0; --d) {
    strides[size_t(d)] = step;
    step *= std::max<int64_t>(sizes[size_t(d)], 1);
  }
}

/// Of more than kMaxRank dimensions the contract's check says so: only the view is made.
void describe(const at::Tensor& tensor, uint32_t flags, CallPlan::Input& input) {
  input.keys = tensor.key_set();
  input.dtype = tensor.dtype();
  input.itemsize = int64_t(tensor.dtype().itemsize());
  input.view = view(tensor);
  if (tensor.dim() > kMaxRank) return;
  std::copy(tensor.sizes().begin(), tensor.sizes().end(), input.sizes.begin());
  std::copy(tensor.strides().begin(), tensor.strides().end(), input.strides.begin());
  input.view.shape = input.sizes.data();
  input.view.strides = input.strides.data();
  if (strides_fit(tensor, flags)) return;
  input.copied = true;
  make_contiguous(input.sizes, input.view.ndim, input.copied_strides);
  input.view.strides = input.copied_strides.data();
  input.view.data = nullptr;  // the copy's is aligned
}

/// False if the entry's infer() alone knows its shape.
bool describe(const ContractPlan& contract, const ContractBinding& binding, c10::Device device, CallPlan::Output& output) {
  const int rank = contract.output_shape(output.position, binding, output.sizes.data());
  if (rank < 0) return false;
  const graft_dtype dtype = contract.output_dtype(output.position, binding);
  output.dtype = to_torch(dtype);
  make_contiguous(output.sizes, rank, output.strides);
  output.view = {nullptr, to_graft(device), rank, dtype, output.sizes.data(), output.strides.data(), 0};
  return true;
}

}  // namespace

Error broken_contract(const graft_contract& contract, const std::string& kernel, const std::string& why) {
  return Error(ErrorCode::invalid_argument, "call of " + kernel + " (" + contract.name + ")", why,
               "give the layer inputs that its contract allows");
}

std::unique_ptr<CallPlan> plan_call(const ContractPlan& contract, std::span<const graft_value> weights, ContractBinding binding,
                                    std::initializer_list<TensorArg> inputs, bool for_backward, c10::Device device, at::ScalarType dtype,
                                    const std::string& kernel) {
  const graft_contract& declared = contract.contract();
  auto plan = std::make_unique<CallPlan>();
  plan->device = device;
  plan->for_backward = for_backward;
  plan->input_count = inputs.size();
  plan->inputs.reserve(declared.argument_count);  // views point into its elements
  plan->outputs.reserve(declared.argument_count);

  std::vector<graft_value> arguments(weights.begin(), weights.end());
  size_t number = 0;
  for (size_t i = 0; i < declared.argument_count && number < inputs.size(); ++i) {
    const graft_argument& argument = declared.arguments[i];
    if (!is_input(argument) || is_weight(argument)) continue;
    const at::Tensor* tensor = inputs.begin()[number++].get();
    if (tensor == nullptr) {
      plan->absent.push_back(number - 1);
      continue;
    }
    if (tensor->device() != device || tensor->layout() != at::kStrided || tensor->is_conj() || tensor->is_neg() || !tensor->has_storage()) return nullptr;
    CallPlan::Input& input = plan->inputs.emplace_back(CallPlan::Input{.number = number - 1, .position = i});
    describe(*tensor, argument.flags, input);
    input.written = argument.direction == GRAFT_INOUT;
    input.misaligned = contract.alignment(input.view.dtype) - 1;
    if (input.copied && input.written) plan->served = false;
    plan->copies |= input.copied;
    arguments[i] = as_value(&input.view);
  }
  if (std::string why; !contract.check(arguments.data(), binding, ContractPart::inputs, &why)) {
    throw broken_contract(declared, kernel, why);
  }
  for (; number < inputs.size(); ++number) plan->absent.push_back(number);  // the contract has no more
  for (CallPlan::Input& input : plan->inputs) input.view.data = nullptr;
  plan->arguments.assign(weights.begin(), weights.end());
  plan->arguments.resize((weights.size() + CallPlan::kArgumentsAtOnce - 1) / CallPlan::kArgumentsAtOnce * CallPlan::kArgumentsAtOnce);
  if (!same_dtype(binding.dtype, to_graft(dtype))) plan->served = false;

  for (size_t i = 0; i < declared.argument_count && plan->served; ++i) {
    const graft_argument& argument = declared.arguments[i];
    if (is_input(argument) || (is_saved(argument) && !for_backward)) continue;
    CallPlan::Output& output = plan->outputs.emplace_back(CallPlan::Output{.position = i, .saved = is_saved(argument)});
    plan->served = describe(contract, binding, device, output);
    plan->returned += output.saved ? 0 : 1;
  }
  return plan;
}

const CallPlan* CallPlans::find_other(std::initializer_list<TensorArg> inputs, bool for_backward, const CallPlan* last) const {
  const size_t count = count_.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    const CallPlan* plan = plans_[i].get();
    if (plan == last || !plan->fits(inputs, for_backward)) continue;
    last_.store(plan, std::memory_order_release);
    return plan;
  }
  return nullptr;
}

const CallPlan* CallPlans::keep(std::unique_ptr<CallPlan>& plan) {
  const std::lock_guard lock(mutex_);
  const size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMost) return nullptr;
  plans_[count] = std::move(plan);
  count_.store(count + 1, std::memory_order_release);
  return plans_[count].get();
}

}  // namespace graft
