// What the trust checks say about a kernel, without loading it.
#pragma once

#include "graft/runtime.h"

namespace graft {

/// Policy and digests of what `ref` stands for: a repo at a revision, or a path (a repo's or variant's
/// folder, whose metadata.json is checked here, unlike when a path is loaded). A refusal is an answer, with
/// its reason, not an Error. Throws Error for what cannot be found or read, or has no variant for the device.
/// Any thread.
TrustDecision verify_kernel(Runtime& runtime, const KernelRef& ref, const LoadOptions& options = {});

}  // namespace graft
