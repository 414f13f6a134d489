// One case: an entry bound onto a layer, held against the same layer unbound.
#pragma once

#include <stop_token>

#include "plan.h"
#include "report.h"

namespace graft::bench {

struct Machine {
  c10::Device device = c10::kCPU;
  double bandwidth_gb_s = 0;
};

/// Checks the results, then times both. A kernel that fails is a Case with `failure`. Throws Error:
/// unsupported for a case that the kernel or LibTorch does not serve, cancelled when asked to stop.
Case measure(const Subject& subject, const Sizes& shape, at::ScalarType dtype, const Machine& machine,
             const BenchOptions& options, const std::stop_token& stop);

}  // namespace graft::bench
