// RFC 3161: a timestamp authority's word on when a signature existed.
#pragma once

#include <optional>

#include "trusted_root.h"

namespace graft::sigstore {

/// When `signature` existed at the latest (Unix seconds), if a timestamp authority of the trusted root says
/// so; nullopt: the timestamp is by somebody else. Errors: untrusted (by one of them, but it does not hold),
/// corrupt.
std::optional<std::int64_t> verify_timestamp(ByteView response, ByteView signature,
                                             const TrustedRoot::Data& root);

}  // namespace graft::sigstore
