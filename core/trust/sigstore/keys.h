// Public keys and the signatures that they verify.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "encoding.h"

namespace graft::sigstore {

using KeyPtr = std::shared_ptr<EVP_PKEY>;
using X509Ptr = std::shared_ptr<X509>;

/// A kind of key and how it signs, by the name that Sigstore's algorithm registry has for it.
struct Scheme {
  enum class Kind { ecdsa, rsa_pkcs1, rsa_pss, ed25519 };
  const char* details;  // "PKIX_ECDSA_P256_SHA_256"
  Kind kind;
  const char* group;  // of ECDSA, OpenSSL's name
  int bits;           // of RSA; 0: any from 2048 on
  Hash hash;          // unused by Ed25519, which signs the message itself
};

/// nullptr: a name that this Graft does not know, or does not verify.
const Scheme* scheme_named(std::string_view details);
bool fits(const Scheme& scheme, EVP_PKEY* key);

/// nullptr: not a key. PKIX, or PKCS#1 for RSA.
KeyPtr parse_key_der(ByteView der);
KeyPtr parse_key_pem(std::string_view pem);
/// nullptr: not a certificate, or more than one.
X509Ptr parse_certificate_der(ByteView der);
X509Ptr parse_certificate_pem(std::string_view pem);
/// A PEM block that is a certificate's rather than a key's.
bool is_certificate_pem(std::string_view pem);

Bytes der(X509* certificate);
Bytes der(EVP_PKEY* key);  // PKIX

/// P-256, P-384, P-521, Ed25519, or RSA of 2048 to 8192 bits.
bool is_supported(EVP_PKEY* key);
bool is_ed25519(EVP_PKEY* key);
/// What the registry pairs the key with, then what old clients did.
std::vector<Hash> hashes_for(EVP_PKEY* key);

bool verify_message(const Scheme& scheme, EVP_PKEY* key, ByteView message, ByteView signature);
/// With a key whose scheme nobody named: RSA in both paddings.
bool verify_message(EVP_PKEY* key, Hash hash, ByteView message, ByteView signature);
/// Not for Ed25519.
bool verify_digest(EVP_PKEY* key, Hash hash, ByteView digest, ByteView signature);

}  // namespace graft::sigstore
