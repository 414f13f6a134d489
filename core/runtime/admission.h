// Admission: all that the policy asks of a kernel between finding it and loading it.
#pragma once

#include "graft/runtime.h"
#include "seen_versions.h"
#include "variant_digest.h"

namespace graft {

/// The HF kernels whose metadata.json and lock files this Graft reads.
inline constexpr const char* kReadsKernels = "0.17.2";

/// Deny lists, memory against rollback, signatures, digests and the lock file, in this order; completes the publisher's
/// decision. `folder`: found's variant, fetched. Throws Error: untrusted, corrupt, with the policy's rule named, and
/// unsupported for a kernel that asks for newer HF kernels.
VerifiedVariant admit(const Policy& policy, const KernelRef& ref, const LocatedPackage& found,
                      const std::filesystem::path& folder, TrustDecision& decision);

/// A newer HF kernels may have given metadata.json a meaning that this Graft does not know of: throws Error(unsupported) for a
/// kernels-minver above kReadsKernels.
void check_minver(const KernelRef& ref, const Metadata& metadata);

/// For memory against rollback, once it has been loaded.
void remember(const Policy& policy, const KernelRef& ref, const LocatedPackage& found);

}  // namespace graft
