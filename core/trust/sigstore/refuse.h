// How this folder says no.
#pragma once

#include <string>

#include "graft/error.h"

namespace graft::sigstore {

/// Well-formed, but does not verify.
[[noreturn]] inline void refuse(const std::string& why,
                                const std::string& mend = "get file and bundle from their publisher again") {
  throw Error(ErrorCode::untrusted, "Sigstore bundle", why, mend);
}

/// Not what a bundle is made of.
[[noreturn]] inline void corrupt(const std::string& why, const std::string& source = "Sigstore bundle") {
  throw Error(ErrorCode::corrupt, source, why, "download the file again or ask its publisher");
}

}  // namespace graft::sigstore
