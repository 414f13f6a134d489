// X.509: a chain up to the trusted root, the certificate log's word for it, and whom Fulcio says it is for.
#pragma once

#include <openssl/err.h>

#include <string>
#include <utility>
#include <vector>

#include "graft/sigstore.h"
#include "trusted_root.h"

namespace graft::sigstore {

/// What OpenSSL notes down while this lives is forgotten with it: its caller's thread keeps its own errors.
struct ErrorMark {
  ErrorMark() { ERR_set_mark(); }
  ~ErrorMark() { ERR_pop_to_mark(); }
  ErrorMark(const ErrorMark&) = delete;
  ErrorMark& operator=(const ErrorMark&) = delete;
};

/// Says itself that it issues others, in whichever of the two extensions.
bool is_ca(X509* certificate);
/// A root: its issuer is itself.
bool is_self_issued(X509* certificate);
/// First and last second, both inside. Errors: corrupt.
std::pair<std::int64_t, std::int64_t> validity(X509* certificate);

enum class Purpose { code_signing, timestamping };
using Chain = std::vector<X509Ptr>;  // from the leaf to the authority's root

/// Signatures, extensions and purposes; not times. Empty: no such chain, and `why` says why.
Chain chain_to(const CertificateAuthority& authority, X509* leaf, Purpose purpose, std::string& why);
/// Whether each of them is valid at that time (Unix seconds); if not, `why` says which.
bool valid_at(const Chain& chain, std::int64_t time, std::string& why);

/// The signer's chain, verified at each of the times. Errors: untrusted.
Chain verify_signing_certificate(X509* leaf, const TrustedRoot::Data& root,
                                 const std::vector<std::int64_t>& times);

/// The certificate's SCT (RFC 6962): one at least by a log of the trusted root. Errors: untrusted, corrupt.
void verify_certificate_log(const Chain& chain, const TrustedRoot::Data& root);

/// Issuer, subject, source_repository and build_signer of the certificate. Errors: untrusted, corrupt.
SigstoreSigner read_identity(X509* certificate);
/// Errors: invalid_argument.
void check_policy(const SigstoreIdentity& wanted);
/// Errors: untrusted.
void match_identity(const SigstoreSigner& signer, const SigstoreIdentity& wanted);

}  // namespace graft::sigstore
