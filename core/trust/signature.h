// Who signed a variant's metadata.json.
#pragma once

#include <filesystem>
#include <string>

#include "graft/sigstore.h"
#include "graft/trust.h"

namespace graft {

/// Holds the signatures beside metadata.json (metadata.json.sigstore, .dsse, .sig) against the policy, before anything
/// in it is believed; completes `decision` with the signer. `metadata`: the bytes of metadata.json, as they will be
/// parsed; empty if there is none. Throws Error, with decision.rule set: untrusted for a signature that does not verify,
/// is by nobody whom the policy names for this publisher, or is missing where the policy wants one; corrupt for a file
/// that is none.
void check_signatures(const Policy& policy, const std::filesystem::path& variant, const std::string& metadata,
                      TrustDecision& decision);

/// The trusted root in force: the user's (graft trust root FILE), else the one that comes with Graft. Throws Error,
/// as TrustedRoot::parse: a root that does not parse is not passed over.
TrustedRoot trusted_root();
std::filesystem::path trusted_root_file();

/// "2026-11-24", in UTC: by which keys' times are held against.
std::string today();

}  // namespace graft
