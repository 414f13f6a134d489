#include "keys.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>

namespace graft::sigstore {
namespace {

using Kind = Scheme::Kind;

constexpr Scheme kSchemes[] = {
    {"PKIX_ECDSA_P256_SHA_256", Kind::ecdsa, "prime256v1", 0, Hash::sha256},
    {"PKIX_ECDSA_P384_SHA_384", Kind::ecdsa, "secp384r1", 0, Hash::sha384},
    {"PKIX_ECDSA_P521_SHA_512", Kind::ecdsa, "secp521r1", 0, Hash::sha512},
    {"PKIX_ECDSA_P384_SHA_256", Kind::ecdsa, "secp384r1", 0, Hash::sha256},
    {"PKIX_ECDSA_P521_SHA_256", Kind::ecdsa, "secp521r1", 0, Hash::sha256},
    {"PKIX_ED25519", Kind::ed25519, nullptr, 0, Hash::sha512},
    {"PKIX_RSA_PKCS1V15_2048_SHA256", Kind::rsa_pkcs1, nullptr, 2048, Hash::sha256},
    {"PKIX_RSA_PKCS1V15_3072_SHA256", Kind::rsa_pkcs1, nullptr, 3072, Hash::sha256},
    {"PKIX_RSA_PKCS1V15_4096_SHA256", Kind::rsa_pkcs1, nullptr, 4096, Hash::sha256},
    {"PKIX_RSA_PSS_2048_SHA256", Kind::rsa_pss, nullptr, 2048, Hash::sha256},
    {"PKIX_RSA_PSS_3072_SHA256", Kind::rsa_pss, nullptr, 3072, Hash::sha256},
    {"PKIX_RSA_PSS_4096_SHA256", Kind::rsa_pss, nullptr, 4096, Hash::sha256},
    {"PKIX_RSA_PKCS1V5", Kind::rsa_pkcs1, nullptr, 0, Hash::sha256},
    {"PKCS1_RSA_PKCS1V5", Kind::rsa_pkcs1, nullptr, 0, Hash::sha256},
    {"PKIX_RSA_PSS", Kind::rsa_pss, nullptr, 0, Hash::sha256},
    {"PKCS1_RSA_PSS", Kind::rsa_pss, nullptr, 0, Hash::sha256},
};

std::string group_of(EVP_PKEY* key) {
  char group[64] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &size) != 1)
    return {};
  return group;
}

const EVP_MD* message_digest(Hash hash) {
  return hash == Hash::sha256 ? EVP_sha256() : hash == Hash::sha384 ? EVP_sha384() : EVP_sha512();
}

/// `padding`: RSA's, 0 for other keys.
bool verify_padded(EVP_PKEY* key, int padding, Hash hash, ByteView digest, ByteView signature) {
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(key, nullptr),
                                                                      EVP_PKEY_CTX_free);
  if (!context || EVP_PKEY_verify_init(context.get()) != 1) return false;
  if (padding && EVP_PKEY_CTX_set_rsa_padding(context.get(), padding) != 1) return false;
  if (padding == RSA_PKCS1_PSS_PADDING &&
      EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) != 1)
    return false;
  return EVP_PKEY_CTX_set_signature_md(context.get(), message_digest(hash)) == 1 &&
         EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(), digest.size()) ==
             1;
}

bool verify_ed25519(EVP_PKEY* key, ByteView message, ByteView signature) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

std::unique_ptr<BIO, decltype(&BIO_free)> memory(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1 << 20))),
          BIO_free};
}

/// Nobody is asked for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

}  // namespace

const Scheme* scheme_named(std::string_view details) {
  auto found =
      std::ranges::find_if(kSchemes, [&](const Scheme& scheme) { return scheme.details == details; });
  return found == std::end(kSchemes) ? nullptr : &*found;
}

bool fits(const Scheme& scheme, EVP_PKEY* key) {
  if (!is_supported(key)) return false;
  switch (scheme.kind) {
    case Kind::ecdsa:
      return EVP_PKEY_is_a(key, "EC") && group_of(key) == scheme.group;
    case Kind::ed25519:
      return is_ed25519(key);
    case Kind::rsa_pkcs1:
      return EVP_PKEY_is_a(key, "RSA") && (!scheme.bits || EVP_PKEY_get_bits(key) == scheme.bits);
    case Kind::rsa_pss:
      return (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) &&
             (!scheme.bits || EVP_PKEY_get_bits(key) == scheme.bits);
  }
  return false;
}

KeyPtr parse_key_der(ByteView der) {
  const unsigned char* at = der.data();
  EVP_PKEY* key = d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size()));
  if (!key) {
    at = der.data();
    key = d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, static_cast<long>(der.size()));
  }
  KeyPtr owned(key, EVP_PKEY_free);
  return owned && at == der.data() + der.size() ? owned : nullptr;
}

KeyPtr parse_key_pem(std::string_view pem) {
  auto bio = memory(pem);
  EVP_PKEY* key = bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr) : nullptr;
  return key ? KeyPtr(key, EVP_PKEY_free) : nullptr;
}

X509Ptr parse_certificate_der(ByteView der) {
  const unsigned char* at = der.data();
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  X509Ptr owned(certificate, X509_free);
  return owned && at == der.data() + der.size() ? owned : nullptr;
}

X509Ptr parse_certificate_pem(std::string_view pem) {
  auto bio = memory(pem);
  X509* certificate = bio ? PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr) : nullptr;
  return certificate ? X509Ptr(certificate, X509_free) : nullptr;
}

bool is_certificate_pem(std::string_view pem) {
  return pem.find("-----BEGIN CERTIFICATE-----") != pem.npos;
}

Bytes der(X509* certificate) {
  unsigned char* out = nullptr;
  int size = i2d_X509(certificate, &out);
  Bytes bytes = size > 0 ? Bytes(out, out + size) : Bytes();
  OPENSSL_free(out);
  return bytes;
}

Bytes der(EVP_PKEY* key) {
  unsigned char* out = nullptr;
  int size = i2d_PUBKEY(key, &out);
  Bytes bytes = size > 0 ? Bytes(out, out + size) : Bytes();
  OPENSSL_free(out);
  return bytes;
}

bool is_ed25519(EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519");
}

bool is_supported(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
    return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192;
  if (!EVP_PKEY_is_a(key, "EC")) return is_ed25519(key);
  const std::string group = group_of(key);
  return group == "prime256v1" || group == "secp384r1" || group == "secp521r1";
}

std::vector<Hash> hashes_for(EVP_PKEY* key) {
  const std::string group = EVP_PKEY_is_a(key, "EC") ? group_of(key) : "";
  if (group == "secp384r1") return {Hash::sha384, Hash::sha256};
  if (group == "secp521r1") return {Hash::sha512, Hash::sha256};
  return {Hash::sha256};
}

bool verify_message(const Scheme& scheme, EVP_PKEY* key, ByteView message, ByteView signature) {
  if (!fits(scheme, key)) return false;
  if (scheme.kind == Kind::ed25519) return verify_ed25519(key, message, signature);
  const int padding = scheme.kind == Kind::rsa_pkcs1 ? RSA_PKCS1_PADDING
                      : scheme.kind == Kind::rsa_pss ? RSA_PKCS1_PSS_PADDING
                                                     : 0;
  return verify_padded(key, padding, scheme.hash, digest(scheme.hash, message), signature);
}

bool verify_message(EVP_PKEY* key, Hash hash, ByteView message, ByteView signature) {
  return is_ed25519(key) ? verify_ed25519(key, message, signature)
                         : verify_digest(key, hash, digest(hash, message), signature);
}

bool verify_digest(EVP_PKEY* key, Hash hash, ByteView digest, ByteView signature) {
  if (!is_supported(key) || is_ed25519(key)) return false;
  if (EVP_PKEY_is_a(key, "EC")) return verify_padded(key, 0, hash, digest, signature);
  return (EVP_PKEY_is_a(key, "RSA") && verify_padded(key, RSA_PKCS1_PADDING, hash, digest, signature)) ||
         verify_padded(key, RSA_PKCS1_PSS_PADDING, hash, digest, signature);
}

}  // namespace graft::sigstore
