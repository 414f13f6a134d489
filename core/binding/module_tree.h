// ModuleTree: a report's layers as the tree of their modules.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "graft/bind_report.h"

namespace graft {

struct ModuleTree {
  std::string name;                         // "mlp"; "" at the root
  std::vector<const LayerReport*> layers;   // of this very module, in the report's order
  std::vector<ModuleTree> children;         // in the order in which the report comes to them
  std::string likeness;  // all that is told of this module and those below it, but for where it stands and its counters

  /// Points into `layers`, which must outlive it.
  static ModuleTree of(const std::vector<LayerReport>& layers);

  /// The children, numbered neighbours that are alike in one span: layers.0 to layers.29.
  std::vector<std::span<const ModuleTree>> runs() const;
};

/// "model.layers.7.mlp" → "model.layers.*.mlp": what is equal in different blocks reads so.
std::string folded(const std::string& module);

}  // namespace graft
