// What the trust checks say about a kernel, without loading it.
#pragma once

#include <filesystem>

#include "graft/runtime.h"
#include "graft/sigstore.h"

namespace graft {

/// Policy and digests of what `ref` stands for: a repo at a revision, or a path (a repo's or variant's
/// folder, whose metadata.json is checked here, unlike when a path is loaded). A refusal is an answer, with
/// its reason, not an Error. Throws Error for what cannot be found or read, or has no variant for the device.
/// Any thread.
TrustDecision verify_kernel(Runtime& runtime, const KernelRef& ref, const LoadOptions& options = {});

/// The trusted root that Sigstore bundles are verified against: the user's, else the one that comes with Graft.
TrustedRoot trusted_root_in_force();

/// From now on the user's is that of `file` (Sigstore's trusted_root.json), which is parsed first. Throws Error: not_found,
/// corrupt, unsupported, io.
void replace_trusted_root(const std::filesystem::path& file);

}  // namespace graft
