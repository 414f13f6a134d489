// A variant's folder held against the digest in its metadata.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/trust.h"
#include "metadata.h"
#include "sealed_copy.h"

namespace graft {

/// A variant whose files were all read and compared.
struct VerifiedVariant {
  SealedCopy library;  // the only .so at the variant's top
  bool has_digest;     // false: there is no metadata.json, or no digest in it; nothing was compared
  std::string digest() const { return library.digest(); }
};

/// The files that a digest speaks of, sorted: all below `variant` besides its own metadata.json and
/// metadata.json.sigstore, __pycache__ folders and *.pyc, as in HF kernels.
std::vector<std::string> digest_files(const std::filesystem::path& variant);

/// The one *.so at the variant's top, by name. Throws Error(not_found), Error(corrupt) if there are several.
std::string library_name(const std::filesystem::path& variant);

/// Reads every file of the variant once; the library's bytes are kept.
/// Throws Error(corrupt) naming the first file that is missing, extra or different.
VerifiedVariant verify_variant(const std::filesystem::path& variant);

/// Completes the publisher's decision by what the files came to.
void decide_digest(const VerifiedVariant& variant, TrustDecision& decision);

}  // namespace graft
