// A variant's folder held against the digest in its metadata.json.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "graft/trust.h"
#include "graft/metadata.h"
#include "sealed_copy.h"

namespace graft {

/// A variant whose files were all read and compared.
struct VerifiedVariant {
  SealedCopy library;  // the only .so at the variant's top
  Metadata metadata;   // empty: there is no metadata.json
  bool has_digest() const { return !metadata.algorithm.empty(); }  // false: nothing was compared
  std::string digest() const { return library.digest(); }
};

/// The files that a digest speaks of, sorted: all below `variant` besides its own metadata.json and that one's
/// signatures (.sigstore, .dsse, .sig), __pycache__ folders and *.pyc, as in HF kernels.
std::vector<std::string> digest_files(const std::filesystem::path& variant);

/// The names of the variants of a repo's folder, which stand below its build/, sorted. Throws Error(not_found) if there is none.
std::vector<std::string> find_variants(const std::filesystem::path& repo);

/// The one *.so at the variant's top, by name. Throws Error(not_found), Error(corrupt) if there are several.
std::string library_name(const std::filesystem::path& variant);

/// The bytes of metadata.json; "" if there is none. Throws Error(corrupt) for more than 4 MiB, or what is no file.
std::string read_metadata(const std::filesystem::path& variant);

/// Reads every file of the variant once, holding it against `metadata` (the bytes of metadata.json); the library's
/// bytes are kept, under `label` (see SealedCopy::make). Throws Error(corrupt) naming the first file that is missing, extra or different.
VerifiedVariant verify_variant(const std::filesystem::path& variant, const std::string& metadata, std::string_view label = {});

/// Signatures, then digests, then deny lists: all that stands between a variant's files and loading them. Completes
/// the publisher's decision; on a refusal decision.rule says which rule it was. Throws Error: untrusted, corrupt.
VerifiedVariant check_variant(const Policy& policy, const std::filesystem::path& variant, TrustDecision& decision,
                              std::string_view label = {});

}  // namespace graft
