#include "symbolic_shapes.h"

#include <ATen/ops/empty.h>

#include <sstream>

#include "graft/error.h"
#include "tensor_view.h"

namespace graft {
namespace {

/// True, or false if it is known to be otherwise; a trace keeps what is not known as its condition.
bool must_hold(const c10::SymBool& condition) {
  return condition.expect_true(__FILE__, __LINE__);
}

}  // namespace

SymbolicShapes::SymbolicShapes(const OperatorCall& call) : call_(call), sizes_(kMaxDimensions) {
  // Broadcast sizes last, when what they may be broadcast to is known.
  for (const bool broadcasts : {false, true}) {
    for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
      if (is_input(call.contract().arguments[i]) && call.tensors[i].defined())
        bind(i, call.tensors[i], broadcasts);
    }
  }
}

void SymbolicShapes::bind(size_t index, const at::Tensor& tensor, bool broadcasts) {
  const ContractPlan::Shape& shape = call_.plan->shape(index);
  const size_t rank = size_t(tensor.dim());
  if (rank < shape.dimensions.size() || (rank > shape.dimensions.size() && !shape.leading))
    refuse(index, tensor);
  const size_t leading = rank - shape.dimensions.size();
  if (shape.leading && !broadcasts) bind_leading(index, tensor, leading);
  for (size_t i = 0; i < shape.dimensions.size(); ++i) {
    const ContractPlan::Dimension& dimension = shape.dimensions[i];
    if (dimension.broadcast != broadcasts) continue;
    const c10::SymInt size = tensor.sym_size(int64_t(leading + i));
    if (dimension.name < 0) {
      if (!must_hold(size.sym_eq(dimension.factor))) refuse(index, tensor);
      continue;
    }
    std::optional<c10::SymInt>& bound = sizes_[size_t(dimension.name)];
    if (bound && dimension.broadcast) continue;  // 1 or that size: the kernel's call sees which
    if (bound) {
      if (!must_hold(size.sym_eq(*bound * dimension.factor))) refuse(index, tensor);
    } else if (!dimension.broadcast || size != 1) {
      if (dimension.factor != 1 && !must_hold((size % dimension.factor).sym_eq(0))) refuse(index, tensor);
      bound = dimension.factor == 1 ? size : size / dimension.factor;
    }
  }
}

void SymbolicShapes::bind_leading(size_t index, const at::Tensor& tensor, size_t rank) {
  const c10::SymIntArrayRef sizes = tensor.sym_sizes().slice(0, rank);
  if (!leading_) {
    leading_ = sizes.vec();
    return;
  }
  if (leading_->size() != rank) refuse(index, tensor);
  for (size_t i = 0; i < rank; ++i)
    if (!must_hold(sizes[i].sym_eq((*leading_)[i]))) refuse(index, tensor);
}

std::vector<c10::SymInt> SymbolicShapes::output(size_t index) const {
  const ContractPlan::Shape& shape = call_.plan->shape(index);
  std::vector<c10::SymInt> sizes;
  if (shape.leading) sizes = *leading_;
  for (const ContractPlan::Dimension& dimension : shape.dimensions) {
    // All ones where a dimension is broadcast everywhere.
    const c10::SymInt size = dimension.name < 0 ? c10::SymInt(1) : sizes_[size_t(dimension.name)].value_or(1);
    sizes.push_back(dimension.factor == 1 ? size : size * dimension.factor);
  }
  return sizes;
}

void SymbolicShapes::refuse(size_t index, const at::Tensor& tensor) const {
  const graft_argument& argument = call_.contract().arguments[index];
  std::ostringstream why;
  why << argument.name << " has shape " << tensor.sym_sizes() << "; it must be [" << argument.shape << "]";
  throw Error(ErrorCode::invalid_argument, std::string("call of ") + call_.contract().name, why.str(),
              "give it inputs that the contract allows");
}

at::Tensor empty_like_call(const OperatorCall& call, c10::SymIntArrayRef sizes, graft_dtype dtype) {
  c10::Device device = c10::kMeta;
  for (const at::Tensor& tensor : call.tensors) {
    if (!tensor.defined()) continue;
    device = tensor.device();
    break;
  }
  return at::empty_symint(sizes, at::TensorOptions(device).dtype(to_torch(dtype)));
}

}  // namespace graft
