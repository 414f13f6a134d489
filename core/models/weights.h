// Weights: the tensors of a checkpoint as a model takes them, one by one, by name and expected shape; or shapes alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "device_plan.h"
#include "graft/checkpoint.h"

namespace graft {

/// Tensors point into the memory-mapped file where dtype and alignment allow, so that nothing is copied; pages that
/// training writes become the process's own. They keep the checkpoint open. Others lie in memory that they share, and hold no
/// values until finish(). Those of other devices than the CPU are copied there as they are taken, and leave nothing in the host's
/// memory. Not thread-safe.
class Weights {
 public:
  Weights(std::shared_ptr<const Checkpoint> checkpoint, std::optional<at::ScalarType> dtype);

  /// Where tensors go, by the modules that have them; all to the CPU if nothing is said. Before the first is taken.
  void place(ModuleDevices devices) { devices_ = std::move(devices); }

  /// Without a checkpoint: every name is there, in the shape it is asked for, on torch's meta device. No memory is taken.
  explicit Weights(at::ScalarType dtype) : dtype_(dtype) {}

  /// Throws Error: not_found, or corrupt if the shape differs from what config.json leads to, or is too large for any memory.
  at::Tensor take(const std::string& name, at::IntArrayRef shape);

  /// Reads and converts what the file holds in another dtype or misaligned, on all threads; of the file a piece for each thread
  /// is in memory meanwhile: looking through the mapping would leave all of it beside the copy. Throws Error(io).
  void finish();

  /// The dtype that weights are given in: the one asked for, else the checkpoint's own.
  at::ScalarType dtype() const { return dtype_; }
  /// Tensors in the checkpoint that nobody took.
  std::vector<std::string> left_over() const;

 private:
  struct Unread {
    const SafetensorsFile* file;
    const TensorView* view;
    at::ScalarType stored;
    std::shared_ptr<std::byte> place;  // holds its memory: a tensor may be dropped before finish()
    int64_t begin;  // its first element's number among those of all
  };
  c10::Device device_for(const std::string& name) const;
  std::shared_ptr<std::byte> place_for(size_t bytes);
  void read(int64_t begin, int64_t end) const;

  std::shared_ptr<const Checkpoint> checkpoint_;  // null: shapes alone
  at::ScalarType dtype_;
  ModuleDevices devices_ = {{"", c10::kCPU}};
  std::set<std::string> taken_;
  std::vector<Unread> unread_;
  int64_t unread_elements_ = 0;
  std::shared_ptr<std::byte> memory_;
  size_t memory_size_ = 0, memory_used_ = 0;  // bytes
};

}  // namespace graft
