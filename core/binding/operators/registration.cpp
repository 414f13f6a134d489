// Puts the contracts' operators into torch's dispatcher: the standard ones when this library is loaded, which
// is all that Python's torch.ops.load_library() asks for, a host's own when they are first wanted.
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <mutex>
#include <set>

#include "graft/contract.h"
#include "graft/error.h"
#include "graft/operators.h"
#include "meta.h"
#include "operator_backward.h"
#include "operator_call.h"
#include "run.h"
#include "schema.h"

namespace graft {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;
using c10::OperatorHandle;
using torch::jit::Stack;

/// One function for all contracts, which it knows by their data.
template <void (*function)(const ContractPlan&, const OperatorHandle&, Stack&)>
struct ForContract : c10::OperatorKernel {
  explicit ForContract(const ContractPlan& plan) : plan(plan) {}
  void operator()(const OperatorHandle& op, DispatchKeySet, Stack* stack) { function(plan, op, *stack); }
  const ContractPlan& plan;
};

template <bool saved>
void forward_on_device(const ContractPlan& plan, const OperatorHandle& op, Stack& stack) {
  give(stack, op.schema().arguments().size(), run_forward(forward_call(plan, stack), saved));
}
template <bool saved>
void forward_on_meta(const ContractPlan& plan, const OperatorHandle& op, Stack& stack) {
  give(stack, op.schema().arguments().size(), meta_forward(forward_call(plan, stack), saved));
}
void backward_on_device(const ContractPlan& plan, const OperatorHandle& op, Stack& stack) {
  give(stack, op.schema().arguments().size(), run_backward(backward_call(plan, stack)));
}
void backward_on_meta(const ContractPlan& plan, const OperatorHandle& op, Stack& stack) {
  give(stack, op.schema().arguments().size(), meta_backward(backward_call(plan, stack)));
}

/// The contract's operator where autograd looks on.
struct WithAutograd : c10::OperatorKernel {
  explicit WithAutograd(const ContractPlan& plan)
      : plan(plan),
        forward(find(plan, OperatorKind::forward)),
        backward(find(plan, OperatorKind::backward)) {}

  void operator()(const OperatorHandle& op, DispatchKeySet keys, Stack* stack) {
    if (gradient_needed(*stack, op.schema().arguments().size())) {
      call_with_gradient(plan, forward, backward, *stack);
    } else {
      const at::AutoDispatchBelowADInplaceOrView below_autograd;
      op.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
    }
  }

  static OperatorHandle find(const ContractPlan& plan, OperatorKind kind) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(operator_name(plan.contract(), kind).c_str(), "");
  }
  const ContractPlan& plan;
  const OperatorHandle forward, backward;
};

template <class Functor>
torch::CppFunction boxed(const ContractPlan& plan) {
  return torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Functor>(plan));
}

void define(torch::Library& library, const ContractPlan& plan) {
  const auto name = [&](OperatorKind kind) { return operator_name(plan.contract(), kind); };
  for (const OperatorKind kind : {OperatorKind::call, OperatorKind::forward, OperatorKind::backward})
    library.def(operator_schema(plan.contract(), kind).c_str(), {at::Tag::pt2_compliant_tag});

  const auto implement = [&](OperatorKind kind, DispatchKey key, torch::CppFunction function) {
    library.impl(name(kind).c_str(), torch::dispatch(key, std::move(function)));
  };
  for (const DispatchKey device : {DispatchKey::CPU, DispatchKey::CUDA}) {
    implement(OperatorKind::call, device, boxed<ForContract<forward_on_device<false>>>(plan));
    implement(OperatorKind::forward, device, boxed<ForContract<forward_on_device<true>>>(plan));
    implement(OperatorKind::backward, device, boxed<ForContract<backward_on_device>>(plan));
  }
  implement(OperatorKind::call, DispatchKey::Meta, boxed<ForContract<forward_on_meta<false>>>(plan));
  implement(OperatorKind::call, DispatchKey::Autograd, boxed<WithAutograd>(plan));
  implement(OperatorKind::forward, DispatchKey::Meta, boxed<ForContract<forward_on_meta<true>>>(plan));
  implement(OperatorKind::backward, DispatchKey::Meta, boxed<ForContract<backward_on_meta>>(plan));
  // Second derivatives end there, with torch's own error.
  implement(OperatorKind::forward, DispatchKey::Autograd, torch::autograd::autogradNotImplementedFallback());
  implement(OperatorKind::backward, DispatchKey::Autograd, torch::autograd::autogradNotImplementedFallback());
}

/// Names of the contracts that have operators.
struct Defined {
  std::mutex mutex;
  std::set<std::string> contracts;
};
Defined& defined() {
  static auto& all = *new Defined;
  return all;
}

}  // namespace

std::string operator_for(const std::string& contract) {
  const ContractPlan& plan = ContractRegistry::shared().at(contract);
  if (!can_be_operator(plan.contract())) {
    throw Error(ErrorCode::unsupported, "contract " + contract,
                "it cannot be an operator: an argument is inout, has a shape that its kernel infers, or is "
                "called kernel_ref or output_mask",
                "kernelize without Mode::TorchCompile");
  }
  const std::lock_guard lock(defined().mutex);
  if (!defined().contracts.contains(contract)) {
    // For good: a Library takes its operators along when it goes.
    static auto& library =
        *new torch::Library(torch::Library::FRAGMENT, "graft", std::nullopt, __FILE__, __LINE__);
    define(library, plan);
    defined().contracts.insert(contract);
  }
  return operator_name(plan.contract(), OperatorKind::call);
}

TORCH_LIBRARY(graft, library) {
  for (const std::string& contract : ContractRegistry::shared().names()) {
    const ContractPlan& plan = ContractRegistry::shared().at(contract);
    if (!can_be_operator(plan.contract())) continue;
    define(library, plan);
    defined().contracts.insert(contract);
  }
}

}  // namespace graft
