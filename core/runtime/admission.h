// Admission: all that the policy asks of a kernel between finding it and loading it.
#pragma once

#include "graft/runtime.h"
#include "seen_versions.h"
#include "variant_digest.h"

namespace graft {

/// Deny lists, memory against rollback, signatures and digests, in this order; completes the publisher's decision.
/// `folder`: found's variant, fetched. Throws Error: untrusted, corrupt, with the policy's rule named.
VerifiedVariant admit(const Policy& policy, const KernelRef& ref, const LocatedPackage& found,
                      const std::filesystem::path& folder, TrustDecision& decision);

/// For memory against rollback, once it has been loaded.
void remember(const Policy& policy, const KernelRef& ref, const LocatedPackage& found);

}  // namespace graft
