// Sigstore bundles: whether a file was signed by whom it should have been, told offline from the bundle
// beside it. Source: Sigstore's client specification; bundle and trusted root are those of
// sigstore/protobuf-specs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Who must have signed. What is empty is not asked for, but the issuer and one of the two subjects must be
/// there.
struct SigstoreIdentity {
  std::string issuer;             // "https://token.actions.githubusercontent.com"
  std::string subject;            // the certificate's name, whole: a workflow's URI or an email address
  std::string subject_pattern;    // the same with * for any run of characters, '/' too
  std::string source_repository;  // "https://github.com/org/repo"
  std::string build_signer;       // URI of the workflow that built
};

/// Who signed, as verified. With a key instead of a certificate the first four are empty.
struct SigstoreSigner {
  std::string issuer, subject, source_repository, build_signer;
  std::string log_id;          // hex
  std::int64_t log_index = 0;  // as the log signed it
  std::int64_t signed_at = 0;  // Unix seconds; the earliest verified time

  std::string str() const;  // "SUBJECT (ISSUER)"
};

/// What the bundle is about. Immutable; safe to copy between threads.
class Artifact {
 public:
  /// Errors: io, not_found.
  static Artifact of_file(const std::filesystem::path& file);
  static Artifact of_bytes(std::string content);
  /// "sha256:" and 64 hex digits. Errors: invalid_argument.
  static Artifact of_digest(std::string_view digest);

  /// Of "sha256", "sha384" or "sha512"; nullptr if the digest of another algorithm is all that is known.
  const std::vector<unsigned char>* digest(std::string_view algorithm) const;
  /// nullptr if unknown or above 64 MiB.
  const std::string* content() const { return content_ ? &*content_ : nullptr; }

 private:
  std::map<std::string, std::vector<unsigned char>, std::less<>> digests_;
  std::optional<std::string> content_;
};

/// The keys and certificates that bundles are verified against. Immutable; safe to share between threads.
class TrustedRoot {
 public:
  /// One of the root's services, and how long what it signs may be believed (Unix seconds).
  struct Service {
    std::string
        kind;  // "certificate authority", "transparency log", "certificate log", "timestamp authority"
    std::string uri;
    std::int64_t start = 0;
    std::optional<std::int64_t> end;  // absent: open; a certificate's own end counts
  };

  /// Errors: corrupt, unsupported, naming `source`.
  static TrustedRoot parse(std::string_view json, const std::string& source);
  /// The public-good instance's, as of this Graft's release.
  static const TrustedRoot& embedded();

  std::vector<Service> services() const;
  /// When nothing signed from then on can be verified, for want of a service of some kind; absent: not known.
  std::optional<std::int64_t> expires() const;

  struct Data;
  const Data& data() const { return *data_; }

 private:
  std::shared_ptr<const Data> data_;
};

/// The bundle's signer, if the bundle proves that `identity` signed `artifact`: certificate chain,
/// certificate log, transparency log, time, signature. Never asks the clock or the network. Any thread.
/// Errors: untrusted (which check failed), corrupt (malformed bundle), unsupported, invalid_argument
/// (identity).
SigstoreSigner verify_bundle(std::string_view bundle_json, const Artifact& artifact, const TrustedRoot& root,
                             const SigstoreIdentity& identity);

/// The same, whoever signed: that it was signed is verified, and by whom is the answer.
SigstoreSigner verify_bundle(std::string_view bundle_json, const Artifact& artifact, const TrustedRoot& root);

/// The same for a bundle signed with a key of its own: `public_key` is PEM. The log is verified as well.
/// Errors: as above; corrupt for a malformed key, too.
SigstoreSigner verify_bundle_with_key(std::string_view bundle_json, const Artifact& artifact,
                                      const TrustedRoot& root, std::string_view public_key);

}  // namespace graft
