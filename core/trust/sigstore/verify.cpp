// The way of one bundle: parse, log entries, times, certificate, identity, signature, what the log says was
// signed.
#include <algorithm>
#include <set>

#include "bundle.h"
#include "certificate.h"
#include "dsse.h"
#include "entry_body.h"
#include "graft/hash.h"
#include "graft/sigstore.h"
#include "refuse.h"
#include "rekor.h"
#include "timestamp.h"

namespace graft {
namespace sigstore {
namespace {

/// What the bundle proves about itself, before anyone asks who signed what.
struct Proofs {
  std::vector<ProvenEntry> entries;
  std::vector<std::int64_t> times;  // Unix seconds, of signing at the latest; one at least
};

std::vector<ProvenEntry> verify_entries(const Bundle& bundle, const TrustedRoot::Data& root) {
  if (bundle.entries.empty()) refuse("it is in no transparency log", "have the file signed again");
  std::vector<ProvenEntry> proven;
  std::set<std::pair<Bytes, std::int64_t>> seen;
  for (const LogEntry& entry : bundle.entries) {
    proven.push_back(verify_entry(entry, bundle.version, root));
    if (!seen.emplace(entry.log_id, proven.back().log_index).second)
      refuse("it has the same log entry twice");
  }
  return proven;
}

Proofs verify_proofs(const Bundle& bundle, const TrustedRoot::Data& root) {
  Proofs proofs{verify_entries(bundle, root), {}};
  std::set<Bytes> seen;
  for (const Bytes& timestamp : bundle.timestamps) {
    if (!seen.insert(timestamp).second) refuse("it has the same timestamp twice");
    if (auto time = verify_timestamp(timestamp, bundle.signature(), root)) proofs.times.push_back(*time);
  }
  for (const ProvenEntry& entry : proofs.entries) {
    if (entry.integrated_time) continue;
    // A log that does not sign the time must have been trusted when others say that it was.
    for (std::int64_t time : proofs.times)
      if (!entry.log->valid.contains(time * 1000))
        refuse("it was signed at " + time_text(time) + ", when the trusted root did not trust the log's key");
  }
  for (const ProvenEntry& entry : proofs.entries)
    if (entry.integrated_time) proofs.times.push_back(*entry.integrated_time);
  if (proofs.times.empty())
    refuse("nobody whom the trusted root knows says when it was signed",
           "have the file signed again, with a timestamp authority of the trusted root");
  return proofs;
}

void verify_message_signature(const Bundle& bundle, const Verifier& verifier, const Artifact& artifact,
                              Hash hash) {
  const MessageSignature& message = *bundle.message;
  if (!message.digest_algorithm.empty()) {
    const auto* known = artifact.digest(name(*hash_named(message.digest_algorithm)));
    if (known && !equal(*known, message.digest))
      refuse("it is of another file: the digest that it repeats differs");
  }
  bool holds = false;
  if (is_ed25519(verifier.key.get())) {
    if (!artifact.content())
      throw Error(ErrorCode::unsupported, "Sigstore bundle",
                  "an Ed25519 signature is over the file itself, not its digest",
                  "give the file, up to 64 MiB, or have it signed with ECDSA");
    holds = verify_message(verifier.key.get(), hash, view(*artifact.content()), message.signature);
  } else {
    holds = verify_digest(verifier.key.get(), hash, *artifact.digest(name(hash)), message.signature);
  }
  if (!holds) refuse("its signature is not of this file by the signer's key");
}

void verify_envelope(const Bundle& bundle, const Verifier& verifier, const Artifact& artifact) {
  const std::string encoded = pae(*bundle.envelope);
  const auto hashes = hashes_for(verifier.key.get());
  const bool holds = std::ranges::any_of(hashes, [&](Hash hash) {
    return verify_message(verifier.key.get(), hash, view(encoded), bundle.envelope->signature);
  });
  if (!holds) refuse("its envelope's signature is not by the signer's key");
  check_subject(*bundle.envelope, artifact);
}

/// That the signer signed the artifact, and that it is this which each log entry says.
void verify_signature(const Bundle& bundle, const Verifier& verifier, const Artifact& artifact,
                      const Proofs& proofs) {
  if (!verifier.key || !is_supported(verifier.key.get()))
    throw Error(ErrorCode::unsupported, "Sigstore bundle",
                "the signer's key is of a kind that Graft does not verify",
                "have the file signed with ECDSA (P-256, P-384, P-521), Ed25519, or RSA from 2048 bits on");
  for (const ProvenEntry& entry : proofs.entries) {
    const Hash hash = check_body(*entry.entry, bundle, verifier, artifact);
    if (bundle.message)
      verify_message_signature(bundle, verifier, artifact, hash);
    else
      verify_envelope(bundle, verifier, artifact);
  }
}

void describe(const Proofs& proofs, SigstoreSigner& signer) {
  signer.log_id = to_hex(proofs.entries.front().entry->log_id);
  signer.log_index = proofs.entries.front().log_index;
  signer.signed_at = *std::ranges::min_element(proofs.times);
}

}  // namespace
}  // namespace sigstore

using namespace sigstore;

std::string SigstoreSigner::str() const {
  return subject.empty() ? "the holder of the key" : subject + " (" + issuer + ')';
}

SigstoreSigner verify_bundle(std::string_view bundle_json, const Artifact& artifact, const TrustedRoot& root,
                             const SigstoreIdentity& identity) {
  check_policy(identity);
  SigstoreSigner signer = verify_bundle(bundle_json, artifact, root);
  match_identity(signer, identity);
  return signer;
}

SigstoreSigner verify_bundle(std::string_view bundle_json, const Artifact& artifact, const TrustedRoot& root) {
  ErrorMark mark;
  const Bundle bundle = parse_bundle(bundle_json);
  if (!bundle.certificate)
    refuse("it is signed with a key, not by a certificate's holder",
           "say which key must have signed: --key FILE");
  const Proofs proofs = verify_proofs(bundle, root.data());
  const Chain chain = verify_signing_certificate(bundle.certificate.get(), root.data(), proofs.times);
  verify_certificate_log(chain, root.data());
  SigstoreSigner signer = read_identity(bundle.certificate.get());
  const Verifier verifier{bundle.certificate,
                          KeyPtr(X509_get_pubkey(bundle.certificate.get()), EVP_PKEY_free)};
  verify_signature(bundle, verifier, artifact, proofs);
  describe(proofs, signer);
  return signer;
}

SigstoreSigner verify_bundle_with_key(std::string_view bundle_json, const Artifact& artifact,
                                      const TrustedRoot& root, std::string_view public_key) {
  ErrorMark mark;
  const Verifier verifier{nullptr, parse_key_pem(public_key)};
  if (!verifier.key)
    throw Error(ErrorCode::corrupt, "public key", "it is not a public key in PEM", "give the .pub file");
  const Bundle bundle = parse_bundle(bundle_json);
  if (bundle.certificate)
    refuse("it is signed by a certificate's holder, not with a key",
           "say who must have signed: --certificate-identity NAME --certificate-oidc-issuer URL");
  const Proofs proofs = verify_proofs(bundle, root.data());
  verify_signature(bundle, verifier, artifact, proofs);
  SigstoreSigner signer;
  describe(proofs, signer);
  return signer;
}

}  // namespace graft
