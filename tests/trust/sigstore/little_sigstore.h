// A Sigstore of the tests' own: certificate authority, certificate log, two transparency logs and a timestamp
// authority, all with keys made here and times that are fixed, so that nothing expires.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "sigstore/keys.h"

namespace graft::test {

using sigstore::Bytes;
using sigstore::ByteView;
using sigstore::KeyPtr;
using sigstore::X509Ptr;
using Json = nlohmann::json;

inline constexpr std::int64_t kNow = 1'750'000'000;  // Unix seconds; when things are signed
inline constexpr std::int64_t kYear = 31'557'600;
inline constexpr const char* kIssuer = "https://token.actions.githubusercontent.com";
inline constexpr const char* kSubject =
    "https://github.com/graft/norm/.github/workflows/release.yml@refs/heads/main";
inline constexpr const char* kFile = "the bytes of norm.so";

/// How one file gets signed; each field's default is right.
struct Recipe {
  int rekor = 1;              // 1: promise and proof; 2: proof and timestamp
  bool dsse = false;          // an in-toto statement instead of a message signature
  bool intoto_entry = false;  // logged as "intoto" (Rekor v1)
  bool dsse_entry =
      false;  // logged as "dsse 0.0.2" (Rekor v2) rather than as hashedrekord of the encoded envelope
  bool with_key = false;        // a key of its own, without certificate
  std::string curve = "P-256";  // "ED25519", "RSA"
  std::string hash = "sha256";  // of the message
  std::string file = kFile, subject = kSubject, issuer = kIssuer;
  std::string statement_file = {};  // "": `file`
  std::int64_t certificate_start = kNow - 60, certificate_end = kNow + 540;
  std::int64_t logged_at = kNow, stamped_at = kNow;
  bool timestamp = false;  // with Rekor v1, too
  std::string leaf_usage = "codeSigning";
  bool leaf_is_ca = false, two_subjects = false, without_sct = false;
  KeyPtr ct_key = {}, promise_key = {}, checkpoint_key = {};  // nullptr: the right ones
};

KeyPtr make_key(const std::string& kind = "P-256");
std::string pem(EVP_PKEY* key);
std::string base64(ByteView bytes);
Bytes sign(EVP_PKEY* key, ByteView message, const EVP_MD* md = EVP_sha256());

class LittleSigstore {
 public:
  LittleSigstore();

  Json root() const;
  /// The bundle; `signer` is made anew if nullptr.
  Json bundle(const Recipe& recipe, KeyPtr signer = nullptr) const;
  Bytes timestamp(ByteView signature, std::int64_t time) const;

 private:
  X509Ptr certificate(const Recipe& recipe, EVP_PKEY* key) const;
  Json entry(const Recipe& recipe, const Json& body) const;
  Json body(const Recipe& recipe, EVP_PKEY* key, X509* certificate, ByteView signature,
            const Json& content) const;

  KeyPtr ca_key_, intermediate_key_, ct_key_, rekor1_key_, rekor2_key_, tsa_key_;
  X509Ptr ca_, intermediate_, tsa_;
};

/// A certificate's parts. `extensions` are OpenSSL's configuration texts, by short name.
struct CertificateParts {
  std::string name = {};
  EVP_PKEY* key = nullptr;
  X509* issuer = nullptr;  // nullptr: self-signed
  EVP_PKEY* issuer_key = nullptr;
  std::int64_t start = kNow - kYear, end = kNow + kYear;
  std::vector<std::pair<std::string, std::string>> extensions = {};
};
X509Ptr make_certificate(const CertificateParts& parts);
Bytes log_id(EVP_PKEY* key);  // SHA-256 of the PKIX key

}  // namespace graft::test
