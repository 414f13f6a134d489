// Weights: the tensors of a checkpoint as a model takes them, one by one, by name and expected shape; or shapes alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <set>
#include <string>

#include "graft/checkpoint.h"

namespace graft {

/// Tensors point into the memory-mapped file where dtype and alignment allow, so that nothing is copied; pages that
/// training writes become the process's own. They keep the checkpoint open. Not thread-safe.
class Weights {
 public:
  Weights(std::shared_ptr<const Checkpoint> checkpoint, std::optional<at::ScalarType> dtype);

  /// Without a checkpoint: every name is there, in the shape it is asked for, on torch's meta device. No memory is taken.
  explicit Weights(at::ScalarType dtype) : dtype_(dtype) {}

  /// Throws Error: not_found, or corrupt if the shape differs from what config.json leads to, or is too large for any memory.
  at::Tensor take(const std::string& name, at::IntArrayRef shape);

  /// The dtype that weights are given in: the one asked for, else the checkpoint's own.
  at::ScalarType dtype() const { return dtype_; }
  /// Tensors in the checkpoint that nobody took.
  std::vector<std::string> left_over() const;

 private:
  std::shared_ptr<const Checkpoint> checkpoint_;  // null: shapes alone
  at::ScalarType dtype_;
  std::set<std::string> taken_;
};

}  // namespace graft
