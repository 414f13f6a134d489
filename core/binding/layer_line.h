// LayerLine: what is to be told of a layer, as little as can be kept for each layer and mode of a model.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "graft/bind_report.h"
#include "graft/error.h"
#include "graft/runtime.h"

namespace graft {

/// A reference of the mapping and what became of it: the same for all layers that are mapped to it.
struct MappedKernel {
  std::string reference;                 // as mapped
  std::shared_ptr<const Kernel> kernel;  // null: error says why
  std::optional<Error> error;
};

struct LayerLine {
  LayerState state = LayerState::own;
  std::shared_ptr<const MappedKernel> mapped = nullptr;  // null: no kernel was asked for
  std::string reason = {};
  std::string covered_by = {};  // for a further member of a fusion: where its kernel stands

  LayerReport report(const std::string& layer, const std::string& module) const;
};

/// What a layer's line says of a kernel that runs: why it was let in if its publisher is not trusted, and what to know of it.
std::string remark(const Kernel& kernel);

}  // namespace graft
