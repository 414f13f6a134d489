// DSSE envelopes with in-toto statements: a signed list of files.
#pragma once

#include "bundle.h"
#include "graft/sigstore.h"

namespace graft::sigstore {

/// What is signed: DSSE's pre-authentication encoding of type and payload.
std::string pae(std::string_view type, std::string_view payload);
std::string pae(const Envelope& envelope);

/// One of the statement's subjects must be the artifact. Errors: untrusted, corrupt.
void check_subject(const Envelope& envelope, const Artifact& artifact);

}  // namespace graft::sigstore
