// Who may hand us code: the policy, and the decision it comes to.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace graft {

/// Which publishers are trusted. A publisher is the part of "org/name" before the slash.
struct Policy {
  std::set<std::string> trusted_publishers = {"graft-kernels", "kernels-community"};
};

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
  std::string
      rule;  // the policy's line that decided: "trusted_publishers", "allow_all_kernels", "local path"
  std::string reason;  // one sentence
  std::string signer;  // empty: not signed
  std::string digest;  // "sha256:<hex>" of the library; filled once its bytes were read
};

/// Decides about the publisher alone, before a byte is read. Pure.
TrustDecision decide_publisher(const Policy& policy, std::string_view repo, bool allow_all_kernels);

}  // namespace graft
