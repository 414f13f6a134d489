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

constinit thread_local char detail::thread_mark = 0;

CallPlan::CallPlan() = default;
CallPlan::~CallPlan() = default;

bool CallPlan::Input::describes(const at::Tensor& tensor) const {
  // The keys come first: they tell tensors apart that have no strides or no storage, or are on a device of
  // another type.
  return tensor.key_set() == keys && tensor.dtype() == dtype && tensor.dim() == view.ndim &&
         std::equal(tensor.sizes().begin(), tensor.sizes().end(), sizes.begin()) &&
         std::equal(tensor.strides().begin(), tensor.strides().end(), strides.begin());
}

bool OwnFrame::serves(const CallPlan& plan) {
  constexpr c10::DispatchKeySet kPlain({c10::DispatchKey::CPU, c10::DispatchKey::AutogradCPU,
                                        c10::DispatchKey::ADInplaceOrView, c10::DispatchKey::AutocastCPU});
  return plan.served && !plan.for_backward && !plan.copies && plan.device.is_cpu() &&
         std::all_of(plan.inputs.begin(), plan.inputs.end(),
                     [&](const CallPlan::Input& input) { return kPlain.has_all(input.keys); });
}

[[gnu::noinline]] void* OwnFrame::storage_for_writing(const c10::TensorImpl& impl) {
  return impl.unsafe_storage().mutable_data();
}

// Each call comes here. The keys are those of tensors without a class of their own (serves()), whose metadata
// lies where _default finds it; flatten: GCC would call even those few instructions.
[[gnu::flatten]] bool OwnFrame::take(const CallPlan& plan, const TensorArg* inputs) {
  graft_tensor* view = views_.data();
  for (const CallPlan::Input& input : plan.inputs) {
    const at::Tensor* tensor = inputs[input.number].get();
    if (tensor == nullptr) [[unlikely]]
      return false;
    const c10::TensorImpl& impl = *tensor->unsafeGetTensorImpl();
    if (impl.key_set() != input.keys || impl.dtype() != input.dtype) [[unlikely]]
      return false;
    const c10::IntArrayRef sizes = impl.sizes_default();
    const int64_t* strides = impl.strides_default().data();
    if (sizes.size() != size_t(view->ndim)) [[unlikely]]
      return false;
    int64_t difference = 0;  // one branch for all dimensions
    switch (sizes.size()) {
      default:
        for (size_t d = 4; d < sizes.size(); ++d)
          difference |= (sizes[d] ^ input.sizes[d]) | (strides[d] ^ input.strides[d]);
        [[fallthrough]];
      case 4:
        difference |= (sizes[3] ^ input.sizes[3]) | (strides[3] ^ input.strides[3]);
        [[fallthrough]];
      case 3:
        difference |= (sizes[2] ^ input.sizes[2]) | (strides[2] ^ input.strides[2]);
        [[fallthrough]];
      case 2:
        difference |= (sizes[1] ^ input.sizes[1]) | (strides[1] ^ input.strides[1]);
        [[fallthrough]];
      case 1:
        difference |= (sizes[0] ^ input.sizes[0]) | (strides[0] ^ input.strides[0]);
        [[fallthrough]];
      case 0:
        break;
    }
    if (difference != 0) [[unlikely]]
      return false;
    void* storage =
        input.written ? storage_for_writing(impl) : const_cast<void*>(impl.unsafe_storage().data());
    void* data = static_cast<char*>(storage) + input.itemsize * impl.storage_offset_default();
    if ((reinterpret_cast<uintptr_t>(data) & input.misaligned) != 0) [[unlikely]]
      return false;
    (view++)->data = data;
  }
  next_ = view;
  for (const size_t number : plan.absent) {
    if (inputs[number].get() != nullptr) [[unlikely]]
      return false;
  }
  return true;
}

OwnFrame::OwnFrame(const CallPlan& plan) : arguments_(plan.arguments) {
  views_.reserve(plan.inputs.size() + plan.outputs.size());  // arguments point into its elements
  const auto lay_out = [&](size_t position, const graft_tensor& view) {
    arguments_[position] = as_value(&views_.emplace_back(view));
  };
  for (const CallPlan::Input& input : plan.inputs) lay_out(input.position, input.view);
  for (const CallPlan::Output& output : plan.outputs) lay_out(output.position, output.view);
}

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

bool CallPlan::fits(std::initializer_list<TensorArg> call_inputs, bool with_backward) const {
  if (with_backward != for_backward || call_inputs.size() != input_count) return false;
  const TensorArg* given = call_inputs.begin();
  return std::all_of(inputs.begin(), inputs.end(),
                     [&](const Input& input) {
                       const at::Tensor* tensor = given[input.number].get();
                       return tensor != nullptr && input.describes(*tensor) &&
                              (device.is_cpu() || tensor->device() == device);
                     }) &&
         std::none_of(absent.begin(), absent.end(),
                      [&](size_t number) { return given[number].get() != nullptr; });
}

const CallPlan* CallPlans::find(std::initializer_list<TensorArg> inputs, bool for_backward) const {
  if (const CallPlan* plan = last(); plan != nullptr && plan->fits(inputs, for_backward)) return plan;
  const size_t count = count_.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    const CallPlan* plan = plans_[i].get();
    if (!plan->fits(inputs, for_backward)) continue;
    last_.store(plan, std::memory_order_release);
    return plan;
  }
  return nullptr;
}

const CallPlan* CallPlans::keep(std::unique_ptr<CallPlan>& plan) {
  const std::lock_guard lock(mutex_);
  const size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMost) return nullptr;
  if (OwnFrame::serves(*plan)) plan->own_frame = std::make_unique<OwnFrame>(*plan);
  plans_[count] = std::move(plan);
  count_.store(count + 1, std::memory_order_release);
  return plans_[count].get();
}

}  // namespace graft
