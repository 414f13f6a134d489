#include "operator_call.h"

#include <algorithm>
#include <string_view>

#include "schema.h"
#include "tensor_view.h"

namespace graft {
namespace {

using c10::IValue;

/// Reads a call's arguments, which stand at the end of the stack.
class Reader {
 public:
  Reader(const torch::jit::Stack& stack, size_t count) : next_(stack.data() + stack.size() - count) {}
  const IValue& next() { return *next_++; }
  at::Tensor tensor() {
    const IValue& value = next();
    return value.isTensor() ? value.toTensor() : at::Tensor();
  }

 private:
  const IValue* next_;
};

graft_value as_attribute(const IValue& value, uint32_t tag) {
  graft_value out{};
  out.tag = tag;
  switch (tag) {
    case GRAFT_BOOL:
      out.as.integer = value.toBool();
      break;
    case GRAFT_INT:
      out.as.integer = value.toInt();
      break;
    case GRAFT_FLOAT:
      out.as.number = value.toDouble();
      break;
    default:
      out.as.string = value.toStringRef().c_str();
      out.length = uint32_t(value.toStringRef().size());
  }
  return out;
}

void read_attributes(Reader& reader, OperatorCall& call) {
  const graft_contract& contract = call.contract();
  call.attributes.reserve(contract.attribute_count);
  for (uint32_t i = 0; i < contract.attribute_count; ++i)
    call.attributes.push_back(as_attribute(reader.next(), contract.attributes[i].tag));
  call.kernel = &reader.next().toStringRef();
}

/// Takes "T" from a tensor that stands for `argument`.
void note_dtype(OperatorCall& call, const graft_argument& argument, const at::Tensor& tensor) {
  if (call.dtype.bits == 0 && tensor.defined() && std::string_view(argument.dtype) == "T")
    call.dtype = to_graft(tensor.scalar_type());
}

}  // namespace

OperatorCall forward_call(const ContractPlan& plan, const torch::jit::Stack& stack) {
  const graft_contract& contract = plan.contract();
  Reader reader(stack, input_count(contract) + contract.attribute_count + 1);
  OperatorCall call{&plan, {}, {}, nullptr, {0, 0, 0}};
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    if (!is_input(contract.arguments[i])) continue;
    call.tensors[i] = reader.tensor();
    note_dtype(call, contract.arguments[i], call.tensors[i]);
  }
  read_attributes(reader, call);
  return call;
}

BackwardCall backward_call(const ContractPlan& plan, const torch::jit::Stack& stack) {
  const graft_contract& contract = plan.contract();
  size_t count = contract.attribute_count + 2, gradients = 0;  // the mask and the kernel
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    gradients += !is_input(argument) && !is_saved(argument);
    count += backward_takes(argument) != BackwardTakes::nothing;
  }
  Reader reader(stack, count + gradients);
  BackwardCall call{{&plan, {}, {}, nullptr, {0, 0, 0}}, {}, {}, 0};
  for (size_t i = 0; i < gradients; ++i) call.grad_outputs[i] = reader.tensor();
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    const BackwardTakes takes = backward_takes(contract.arguments[i]);
    if (takes == BackwardTakes::tensor) call.tensors[i] = reader.tensor();
    note_dtype(call, contract.arguments[i], call.tensors[i]);
    if (takes == BackwardTakes::sizes) call.input_sizes[i] = reader.next().toSymIntVector();
  }
  for (uint32_t i = 0, output = 0; i < contract.argument_count; ++i) {
    if (is_input(contract.arguments[i]) || is_saved(contract.arguments[i])) continue;
    note_dtype(call, contract.arguments[i], call.grad_outputs[output++]);
  }
  const c10::List<bool> mask = reader.next().toBoolList();
  for (size_t i = 0; i < mask.size(); ++i) call.needs_gradient |= uint64_t(mask[i]) << i;
  read_attributes(reader, call);
  return call;
}

size_t input_count(const graft_contract& contract) {
  return size_t(std::count_if(contract.arguments, contract.arguments + contract.argument_count, is_input));
}

std::vector<size_t> output_order(const graft_contract& contract, bool saved) {
  std::vector<size_t> order;
  for (const bool of_saved : {false, true}) {
    for (uint32_t i = 0; i < contract.argument_count; ++i) {
      const graft_argument& argument = contract.arguments[i];
      if (!is_input(argument) && is_saved(argument) == of_saved && (saved || !of_saved)) order.push_back(i);
    }
  }
  return order;
}

}  // namespace graft
