// The check of one call: small and free of strings, since it runs for every call. What failed is a Mismatch;
// the sentence about it is made by explain(), only if someone asks.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "graft/contract_plan.h"
#include "graft/dtype.h"

namespace graft {
namespace {

bool equal(graft_dtype a, graft_dtype b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
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

std::string list(const std::int64_t* numbers, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(numbers[i]);
  return "[" + text + "]";
}

}  // namespace

bool ContractPlan::check(const graft_value* arguments, ContractBinding& binding, ContractPart part,
                         std::string* why) const {
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const graft_argument& argument = contract_->arguments[i];
    const graft_value& value = arguments[i];
    bool weight = argument.flags & GRAFT_ARG_WEIGHT;
    if (part == ContractPart::weights && !weight) continue;
    Mismatch mismatch = Mismatch::none;
    if (value.tag == GRAFT_TENSOR && value.as.tensor) [[likely]] {
      mismatch = check_tensor(i, *value.as.tensor, binding);
    } else if (value.tag != GRAFT_NONE) {
      mismatch = Mismatch::no_tensor;
    } else {
      bool may_be_none = argument.direction == GRAFT_OUT || (argument.flags & GRAFT_ARG_OPTIONAL) ||
                         (weight && part == ContractPart::inputs);
      if (!may_be_none) mismatch = Mismatch::missing;
    }
    if (mismatch != Mismatch::none) [[unlikely]] {
      if (why) *why = std::string(argument.name) + " " + explain(mismatch, i, value, binding);
      return false;
    }
  }
  return true;
}

ContractPlan::Mismatch ContractPlan::check_tensor(std::size_t index, const graft_tensor& tensor,
                                                  ContractBinding& binding) const {
  const Shape& shape = shapes_[index];
  graft_dtype expected = dtypes_[index];
  if (expected.bits == 0) {
    if (binding.dtype.bits == 0) binding.dtype = tensor.dtype;
    expected = binding.dtype;
  }
  if (!equal(tensor.dtype, expected)) return Mismatch::dtype;
  if (tensor.ndim > kMaxRank) return Mismatch::too_many;
  if (!shape.inferred)
    if (Mismatch mismatch = bind_shape(shape, tensor, binding); mismatch != Mismatch::none) return mismatch;

  auto address = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  if (tensor.data && (address & (alignment(tensor.dtype) - 1))) return Mismatch::alignment;
  std::uint32_t flags = contract_->arguments[index].flags;
  if (flags & GRAFT_ARG_STRIDED) return Mismatch::none;
  if (flags & GRAFT_ARG_ROWS) return has_rows(tensor) ? Mismatch::none : Mismatch::rows;
  return is_contiguous(tensor) ? Mismatch::none : Mismatch::contiguous;
}

std::uint64_t ContractPlan::alignment(graft_dtype dtype) const {
  std::uint64_t element = std::uint64_t{dtype.bits} * dtype.lanes / 8;
  return std::max<std::uint64_t>({contract_->alignment, std::bit_floor(element), 1});
}

ContractPlan::Mismatch ContractPlan::bind_shape(const Shape& shape, const graft_tensor& tensor,
                                                ContractBinding& binding) const {
  int leading = tensor.ndim - static_cast<int>(shape.dimensions.size());
  if (leading < 0 || (leading > 0 && !shape.leading)) return Mismatch::rank;
  if (shape.leading) {
    if (binding.leading_rank < 0) {
      binding.leading_rank = leading;
      for (int i = 0; i < leading; ++i) binding.leading[static_cast<std::size_t>(i)] = tensor.shape[i];
    } else if (binding.leading_rank != leading) {
      return Mismatch::leading;
    } else {
      for (int i = 0; i < leading; ++i)
        if (binding.leading[static_cast<std::size_t>(i)] != tensor.shape[i]) return Mismatch::leading;
    }
  }
  const std::int64_t* size = tensor.shape + leading;
  for (const Dimension& dimension : shape.dimensions)
    if (!bind_dimension(dimension, *size++, binding)) return Mismatch::size;
  return Mismatch::none;
}

bool ContractPlan::bind_dimension(const Dimension& dimension, std::int64_t size,
                                  ContractBinding& binding) const {
  if (dimension.name < 0) return size == dimension.factor;
  std::int64_t& bound = binding.sizes[static_cast<std::size_t>(dimension.name)];
  if (bound >= 0) return size == dimension.factor * bound || (dimension.broadcast && size == 1);
  // A broadcast 1 says nothing about the dimension's size.
  if (dimension.broadcast && size == 1) return true;
  if (dimension.factor == 1) [[likely]] {
    bound = size;
    return true;
  }
  bound = size / dimension.factor;
  return size % dimension.factor == 0;
}

std::string ContractPlan::explain(Mismatch mismatch, std::size_t index, const graft_value& value,
                                  const ContractBinding& binding) const {
  if (mismatch == Mismatch::no_tensor) return "is no tensor";
  if (mismatch == Mismatch::missing) return "is missing";
  const graft_tensor& tensor = *value.as.tensor;
  const graft_argument& argument = contract_->arguments[index];
  switch (mismatch) {
    case Mismatch::dtype:
      return "is " + dtype_name(tensor.dtype) + "; it must be " + dtype_name(output_dtype(index, binding));
    case Mismatch::too_many:
      return "has " + std::to_string(tensor.ndim) + " dimensions; 8 are the most";
    case Mismatch::contiguous:
      return "has strides " + list(tensor.strides, tensor.ndim) + "; it must be contiguous";
    case Mismatch::rows:
      return "has strides " + list(tensor.strides, tensor.ndim) + "; the last must be 1";
    case Mismatch::alignment:
      return "is not aligned to " + std::to_string(alignment(tensor.dtype)) + " bytes";
    default:
      break;
  }
  std::string text = "has shape " + list(tensor.shape, tensor.ndim);
  if (mismatch == Mismatch::leading) return text + ", whose leading dimensions differ from the others'";
  text += "; it must be [" + std::string(argument.shape) + "]";
  // The names that are bound, for the reader to find the one that is off.
  for (const Dimension& dimension : shapes_[index].dimensions) {
    if (dimension.name < 0 || binding.sizes[static_cast<std::size_t>(dimension.name)] < 0) continue;
    std::size_t name = static_cast<std::size_t>(dimension.name);
    text += ", " + names_[name] + " is " + std::to_string(binding.sizes[name]);
  }
  return text;
}

}  // namespace graft
