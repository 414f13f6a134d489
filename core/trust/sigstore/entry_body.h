// What a log entry says was signed, by whom and how; it must be what the bundle says.
#pragma once

#include "bundle.h"
#include "graft/sigstore.h"

namespace graft::sigstore {

/// Who signed: the certificate, or a key alone.
struct Verifier {
  X509Ptr certificate;  // nullptr: a key alone
  KeyPtr key;
};

/// Whether the entry is of this signature, by this verifier, over this artifact or envelope; for a message
/// signature returns the hash that was signed. Errors: untrusted, corrupt.
Hash check_body(const LogEntry& entry, const Bundle& bundle, const Verifier& verifier,
                const Artifact& artifact);

}  // namespace graft::sigstore
