#include "slot_call.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <string>

#include "arguments.h"
#include "graft/error.h"
#include "schema.h"

namespace graft {
namespace {

using c10::IValue;

IValue as_ivalue(const graft_value& value, const c10::Argument& argument) {
  switch (value.tag) {
    case GRAFT_BOOL:
      return value.as.integer != 0;
    case GRAFT_INT:
      return value.as.integer;
    case GRAFT_FLOAT:
      return value.as.number;
    case GRAFT_STRING:
      return std::string(value.as.string, value.length);
    default:
      return argument.default_value().value();
  }
}

}  // namespace

void call_operator(const LayerFacts& facts, std::initializer_list<TensorArg> inputs, at::Tensor* outputs,
                   size_t output_count) {
  const graft_contract& contract = facts.plan->contract();
  const c10::OperatorHandle op =
      c10::Dispatcher::singleton().findSchemaOrThrow(operator_name(contract, OperatorKind::call).c_str(), "");
  torch::jit::Stack stack;
  const TensorArg* input = inputs.begin();
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (!is_input(contract.arguments[i])) continue;
    const at::Tensor* tensor = is_weight(contract.arguments[i]) ? &facts.weights[i]
                               : input != inputs.end()          ? (input++)->get()
                                                                : nullptr;
    stack.push_back(tensor != nullptr && tensor->defined() ? IValue(*tensor) : IValue());
  }
  for (uint32_t i = 0; i < contract.attribute_count; ++i)
    stack.push_back(as_ivalue(facts.attributes[i], op.schema().arguments()[stack.size()]));
  stack.emplace_back(facts.operator_kernel);
  op.callBoxed(stack);
  if (stack.size() > output_count) {
    throw Error(ErrorCode::invalid_argument, "call of " + facts.operator_kernel,
                std::string(contract.name) + " has more outputs than the layer takes",
                "let own() return a std::tuple of all outputs");
  }
  for (size_t i = 0; i < stack.size(); ++i) outputs[i] = std::move(stack[i]).toTensor();
}

}  // namespace graft
