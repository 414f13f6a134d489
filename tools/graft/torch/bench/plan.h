// What is to be measured: which entries of a plugin, at which shapes, in which dtypes.
#pragma once

#include <string>
#include <vector>

#include "bench_options.h"
#include "graft/runtime.h"
#include "layer.h"
#include "report.h"

namespace graft::bench {

/// One entry to measure.
struct Subject {
  std::string entry, reference;  // "RMSNorm", "graft-kernels/norm:RMSNorm"
  const LayerKind* kind = nullptr;
  std::vector<Sizes> shapes;
  std::vector<at::ScalarType> dtypes;
  const graft_entry* promises = nullptr;  // the entry itself, which says whether it quantises

  size_t count() const { return shapes.size() * dtypes.size(); }
};

struct Plan {
  std::vector<Subject> subjects;
  std::vector<Skipped> skipped;
};

/// The entries that `package.ref` names and `options` ask for; what cannot be measured is in `skipped`.
/// Throws Error: not_found for an entry that the plugin does not have, invalid_argument for a --shape that
/// fits none of them.
Plan make_plan(const Package& package, const BenchOptions& options);

}  // namespace graft::bench
