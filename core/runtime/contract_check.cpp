// The check of one call. What runs for every call stands in ContractPlan::check and check_tensor; sentences
// are built only after something failed and someone asked why.
#include <cstdint>

#include "graft/contract_plan.h"
#include "graft/dtype.h"

namespace graft {
namespace {

std::string shape_text(const graft_tensor& tensor) {
  std::string text = "[";
  for (int i = 0; i < tensor.ndim; ++i) text += (i ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

std::string strides_text(const graft_tensor& tensor) {
  std::string text = "[";
  for (int i = 0; i < tensor.ndim; ++i) text += (i ? ", " : "") + std::to_string(tensor.strides[i]);
  return text + "]";
}

/// Always false, to be returned.
[[gnu::cold, gnu::noinline]] bool fail(std::string* why, const graft_argument& argument,
                                       const std::string& text) {
  if (why) *why = std::string(argument.name) + " " + text;
  return false;
}

/// Strides of dimensions of size 1 say nothing; an empty tensor has no elements to stride over.
bool is_contiguous(const graft_tensor& tensor) {
  std::int64_t expected = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    if (tensor.shape[i] == 0) return true;
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

bool has_rows(const graft_tensor& tensor) {
  int last = tensor.ndim - 1;
  return last < 0 || tensor.shape[last] <= 1 || tensor.strides[last] == 1;
}

}  // namespace

bool ContractPlan::check(const graft_value* arguments, ContractBinding& binding, ContractPart part,
                         std::string* why) const {
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const graft_argument& argument = contract_->arguments[i];
    const graft_value& value = arguments[i];
    bool weight = argument.flags & GRAFT_ARG_WEIGHT;
    if (part == ContractPart::weights && !weight) continue;
    if (value.tag == GRAFT_TENSOR && value.as.tensor) [[likely]] {
      if (!check_tensor(i, *value.as.tensor, binding, why)) return false;
    } else if (value.tag != GRAFT_NONE) {
      return fail(why, argument, "is no tensor");
    } else {
      bool may_be_none = argument.direction == GRAFT_OUT || (argument.flags & GRAFT_ARG_OPTIONAL) ||
                         (weight && part == ContractPart::inputs);
      if (!may_be_none) return fail(why, argument, "is missing");
    }
  }
  return true;
}

bool ContractPlan::check_tensor(std::size_t index, const graft_tensor& tensor, ContractBinding& binding,
                                std::string* why) const {
  const graft_argument& argument = contract_->arguments[index];
  const Shape& shape = shapes_[index];

  graft_dtype expected = dtypes_[index];
  if (expected.bits == 0) {
    if (binding.dtype.bits == 0) binding.dtype = tensor.dtype;
    expected = binding.dtype;
  }
  if (!same_dtype(tensor.dtype, expected)) [[unlikely]]
    return fail(why, argument, "is " + dtype_name(tensor.dtype) + "; it must be " + dtype_name(expected));

  int fixed = static_cast<int>(shape.dimensions.size());
  int leading = tensor.ndim - fixed;
  if (tensor.ndim > kMaxRank) [[unlikely]]
    return fail(why, argument, "has " + std::to_string(tensor.ndim) + " dimensions; 8 are the most");
  if (!shape.inferred) {
    if (leading < 0 || (leading > 0 && !shape.leading)) [[unlikely]]
      return fail(why, argument, "has shape " + shape_text(tensor) + "; it must be [" + argument.shape + "]");
    if (shape.leading) {
      if (binding.leading_rank < 0) {
        binding.leading_rank = leading;
        for (int i = 0; i < leading; ++i) binding.leading[static_cast<std::size_t>(i)] = tensor.shape[i];
      }
      bool same = binding.leading_rank == leading;
      for (int i = 0; same && i < leading; ++i)
        same = binding.leading[static_cast<std::size_t>(i)] == tensor.shape[i];
      if (!same) [[unlikely]]
        return fail(why, argument,
                    "has shape " + shape_text(tensor) + ", whose leading dimensions differ from the others'");
    }
    for (int i = 0; i < fixed; ++i) {
      const Dimension& dimension = shape.dimensions[static_cast<std::size_t>(i)];
      if (!bind_dimension(dimension, tensor.shape[leading + i], binding)) [[unlikely]] {
        std::string wanted = "a fixed size or multiple";
        if (dimension.name >= 0) {
          std::size_t name = static_cast<std::size_t>(dimension.name);
          wanted =
              names_[name] + (binding.sizes[name] < 0 ? "" : " is " + std::to_string(binding.sizes[name]));
        }
        return fail(
            why, argument,
            "has shape " + shape_text(tensor) + "; it must be [" + argument.shape + "], and " + wanted);
      }
    }
  }

  if (!(argument.flags & (GRAFT_ARG_ROWS | GRAFT_ARG_STRIDED))) {
    if (!is_contiguous(tensor)) [[unlikely]]
      return fail(why, argument, "has strides " + strides_text(tensor) + "; it must be contiguous");
    auto address = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
    if (tensor.data && (address & (contract_->alignment - 1)) != 0) [[unlikely]]
      return fail(why, argument, "is not aligned to " + std::to_string(contract_->alignment) + " bytes");
  } else if ((argument.flags & GRAFT_ARG_ROWS) && !has_rows(tensor)) [[unlikely]] {
    return fail(why, argument, "has strides " + strides_text(tensor) + "; the last must be 1");
  }
  return true;
}

bool ContractPlan::bind_dimension(const Dimension& dimension, std::int64_t size,
                                  ContractBinding& binding) const {
  if (dimension.name < 0) return size == dimension.factor;
  std::int64_t& bound = binding.sizes[static_cast<std::size_t>(dimension.name)];
  if (bound < 0) {
    // A broadcast 1 says nothing about the dimension's size.
    if (dimension.broadcast && size == 1) return true;
    if (size % dimension.factor != 0) return false;
    bound = size / dimension.factor;
    return true;
  }
  return size == dimension.factor * bound || (dimension.broadcast && size == 1);
}

}  // namespace graft
