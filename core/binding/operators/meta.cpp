#include "meta.h"

#include "graft/dtype.h"
#include "graft/error.h"
#include "symbolic_shapes.h"
#include "tensor_view.h"

namespace graft {
namespace {

graft_dtype dtype_of(const graft_argument& argument, graft_dtype layer) {
  const graft_dtype fixed = dtype_from_name(argument.dtype);
  return fixed.bits != 0 ? fixed : layer;
}

void check_dtypes(const OperatorCall& call, graft_dtype layer) {
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    if (!call.tensors[i].defined()) continue;
    const graft_argument& argument = call.contract().arguments[i];
    const graft_dtype wanted = dtype_of(argument, layer), given = to_graft(call.tensors[i].scalar_type());
    if (same_dtype(wanted, given)) continue;
    throw Error(
        ErrorCode::invalid_argument, std::string("call of ") + call.contract().name,
        std::string(argument.name) + " is " + dtype_name(given) + "; it must be " + dtype_name(wanted),
        "give it inputs that the contract allows");
  }
}

}  // namespace

std::vector<at::Tensor> meta_forward(const OperatorCall& call, bool saved) {
  const graft_dtype layer = call.dtype;
  check_dtypes(call, layer);
  const SymbolicShapes shapes(call);
  std::vector<at::Tensor> outputs;
  for (const size_t i : output_order(call.contract(), saved))
    outputs.push_back(empty_like_call(call, shapes.output(i), dtype_of(call.contract().arguments[i], layer)));
  return outputs;
}

std::vector<at::Tensor> meta_backward(const BackwardCall& call) {
  const graft_dtype layer = call.dtype;
  std::vector<at::Tensor> gradients;
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    const graft_argument& argument = call.contract().arguments[i];
    if (!is_input(argument)) continue;
    at::Tensor& gradient = gradients.emplace_back();
    if ((call.needs_gradient >> (gradients.size() - 1) & 1) == 0) continue;
    gradient = empty_like_call(
        call,
        call.tensors[i].defined() ? call.tensors[i].sym_sizes() : c10::SymIntArrayRef(call.input_sizes[i]),
        dtype_of(argument, layer));
  }
  return gradients;
}

}  // namespace graft
