// at::globalContext().setDeterministicAlgorithms(true, …): kernels that do not say that they are deterministic do not run then.
#pragma once

#include <ATen/Context.h>

#include "graft/error.h"
#include "graft/runtime.h"

namespace graft {

inline bool is_deterministic(const Kernel& kernel) { return (kernel.entry->flags & GRAFT_ENTRY_DETERMINISTIC) != 0; }

/// Whether the host wants no others; it may change its mind at any time.
inline bool determinism_is_asked_for() { return at::globalContext().deterministicAlgorithms(); }

inline Error not_deterministic(const Kernel& kernel) {
  return Error(ErrorCode::unsupported, "kernel " + kernel.ref.str(),
               "deterministic algorithms are asked for (at::globalContext().setDeterministicAlgorithms), and it does not say that it is one",
               "map another kernel, or allow others");
}

}  // namespace graft
