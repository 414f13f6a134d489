#include "admission.h"

#include <utility>

#include "graft/error.h"
#include "graft/quarantine.h"
#include "graft/version.h"
#include "lock_check.h"

namespace graft {
namespace {

SeenVersion version_of(const KernelRef& ref, const LocatedPackage& found) {
  return {found.endpoint, ref.repo, ref.revision, found.revision, found.commit};
}

/// The Hub that comes with Graft is rebuilt with it, and as trusted as the program itself. What a lock file names is what its
/// user means, also where it is older than what ran here.
bool is_remembered(const Policy& policy, const LocatedPackage& found) {
  return policy.remember_versions && !found.embedded && !found.locked;
}

}  // namespace

void check_minver(const KernelRef& ref, const Metadata& metadata) {
  auto needs = Version::parse(metadata.kernels_minver);
  if (metadata.kernels_minver.empty() || (needs && *needs <= *Version::parse(kReadsKernels))) return;
  throw Error(ErrorCode::unsupported, "kernel " + ref.str(),
              "its kernels-minver is " + metadata.kernels_minver + ", and this Graft reads what HF kernels " + kReadsKernels + " reads",
              "use a newer Graft, or an older version of the kernel");
}

VerifiedVariant admit(const Policy& policy, const KernelRef& ref, const LocatedPackage& found,
                      const std::filesystem::path& folder, TrustDecision& decision) try {
  check_commit(policy, ref.repo, found.commit, decision);
  if (is_remembered(policy, found)) SeenVersions(state_folder()).check(version_of(ref, found), decision);
  VerifiedVariant verified = check_variant(policy, folder, decision, ref.repo + "@" + found.revision);
  check_minver(ref, verified.metadata);
  if (found.locked) {
    const std::string admitted_by = std::exchange(decision.rule, "lock_file");
    check_locked(*found.locked, found.variants.chosen, folder, found.files, verified.digest());
    decision.rule = admitted_by;
  }
  return verified;
} catch (const Error& e) {
  if (e.code() != ErrorCode::untrusted && e.code() != ErrorCode::corrupt) throw;
  throw Error(e.code(), e.failed(), e.why(), e.mend() + "; it was refused by the policy's rule " + decision.rule);
}

void remember(const Policy& policy, const KernelRef& ref, const LocatedPackage& found) {
  if (is_remembered(policy, found)) SeenVersions(state_folder()).remember(version_of(ref, found));
}

}  // namespace graft
