// What was decided about a kernel, and by which rule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "graft/policy.h"

namespace graft {

/// What was decided about one kernel, for reports and --json. `state` is one of
///   "trusted"  a trusted publisher's, and its digest holds
///   "warned"   a trusted publisher's, without a digest to hold it against
///   "allowed"  another publisher's, admitted by allow_all_kernels
///   "local"    a path on this machine
///   "refused"
struct TrustDecision {
  bool accepted = false;
  std::string state = "refused";
  std::string publisher;  // "graft-kernels"; empty for a local one
  std::string rule;       // the policy's line that decided: "trusted_publishers", "allow_all_kernels", "signers", "digest",
                          // "require_signature", "deny", "remember_versions", "lock_file", "local_kernels"
  std::string reason;     // one sentence
  std::string signer;     // "key graft-kernels (sha256:…)", or a Sigstore identity; empty: not signed
  std::string digest;     // "sha256:<hex>" of the library; filled once its bytes were read
  std::int64_t log_index = -1;  // of a Sigstore signature in the transparency log; -1: none
};

/// Decides about publisher and repo alone, before a byte is read. Pure.
TrustDecision decide_publisher(const Policy& policy, std::string_view repo, bool allow_all_kernels);

/// Throws Error(untrusted) if the commit is on the deny list.
void check_commit(const Policy& policy, const std::string& repo, const std::string& commit, TrustDecision& decision);

}  // namespace graft
