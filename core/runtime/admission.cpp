#include "admission.h"

#include "graft/error.h"
#include "graft/quarantine.h"

namespace graft {
namespace {

SeenVersion version_of(const KernelRef& ref, const LocatedPackage& found) {
  return {found.endpoint, ref.repo, ref.revision, found.revision, found.commit};
}

/// The Hub that comes with Graft is rebuilt with it, and as trusted as the program itself.
bool is_remembered(const Policy& policy, const LocatedPackage& found) {
  return policy.remember_versions && !found.embedded;
}

}  // namespace

VerifiedVariant admit(const Policy& policy, const KernelRef& ref, const LocatedPackage& found,
                      const std::filesystem::path& folder, TrustDecision& decision) try {
  check_commit(policy, ref.repo, found.commit, decision);
  if (is_remembered(policy, found)) SeenVersions(state_folder()).check(version_of(ref, found), decision);
  return check_variant(policy, folder, decision);
} catch (const Error& e) {
  if (e.code() != ErrorCode::untrusted && e.code() != ErrorCode::corrupt) throw;
  throw Error(e.code(), e.failed(), e.why(), e.mend() + "; it was refused by the policy's rule " + decision.rule);
}

void remember(const Policy& policy, const KernelRef& ref, const LocatedPackage& found) {
  if (is_remembered(policy, found)) SeenVersions(state_folder()).remember(version_of(ref, found));
}

}  // namespace graft
