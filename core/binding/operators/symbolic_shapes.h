// SymbolicShapes: a contract's shape language on sizes that a trace may leave open.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

#include <optional>
#include <vector>

#include "operator_call.h"

namespace graft {

/// What the inputs of a call say of the outputs' shapes. Where sizes must be equal a trace gets that as its
/// condition, and no other: a broadcast input is not asked whether it is 1 unless the size of an output hangs
/// on it.
class SymbolicShapes {
 public:
  /// Throws Error(invalid_argument) if the inputs break the contract.
  explicit SymbolicShapes(const OperatorCall& call);

  /// Of the output at `index`.
  std::vector<c10::SymInt> output(size_t index) const;

 private:
  void bind(size_t index, const at::Tensor& tensor, bool broadcasts);
  void bind_leading(size_t index, const at::Tensor& tensor, size_t rank);
  [[noreturn]] void refuse(size_t index, const at::Tensor& tensor) const;

  const OperatorCall& call_;
  std::vector<std::optional<c10::SymInt>> sizes_;    // by dimension
  std::optional<std::vector<c10::SymInt>> leading_;  // behind "..."
};

/// As at::empty, row-major, on the device of the call's tensors.
at::Tensor empty_like_call(const OperatorCall& call, c10::SymIntArrayRef sizes, graft_dtype dtype);

}  // namespace graft
