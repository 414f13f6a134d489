#include "ed25519.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <functional>
#include <memory>
#include <vector>

#include "graft/error.h"
#include "graft/hash.h"

namespace graft::ed25519 {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

constexpr std::size_t kSignatureBytes = 64;

[[noreturn]] void refuse(const char* which) {
  throw Error(ErrorCode::invalid_argument, std::string("Ed25519 ") + which + " key", "is none in PEM",
              "make one: openssl genpkey -algorithm ed25519, or graft sign --new-key FILE");
}

/// OpenSSL asks on the terminal for an encrypted key's password unless somebody answers for it.
int no_password(char*, int, int, void*) {
  return -1;
}

Key read_private(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  if (!key || EVP_PKEY_base_id(key.get()) != EVP_PKEY_ED25519) refuse("private");
  return key;
}

/// SubjectPublicKeyInfo in DER: of an Ed25519 key it is this beginning (RFC 8410) and 32 bytes. Taken apart here, since
/// OpenSSL's decoder takes half a millisecond for it, at every load.
std::string der_of(const std::string& pem) {
  constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----", kEnd = "-----END PUBLIC KEY-----";
  constexpr std::string_view kPrefix("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
  std::size_t begin = pem.find(kBegin), end = pem.find(kEnd);
  if (begin == pem.npos || end == pem.npos || end < begin) refuse("public");
  std::string text = pem.substr(begin + kBegin.size(), end - begin - kBegin.size());
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
  auto der = from_base64(text);
  if (!der || der->size() != kPrefix.size() + 32 || !der->starts_with(kPrefix)) refuse("public");
  return *der;
}

std::string text_of(const std::function<int(BIO*)>& write) {
  Bio bio(BIO_new(BIO_s_mem()), BIO_free);
  char* bytes = nullptr;
  if (write(bio.get()) != 1) throw Error(ErrorCode::internal, "Ed25519 key", "OpenSSL cannot write it");
  long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

std::string make_private_key() {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  if (!key) throw Error(ErrorCode::internal, "Ed25519 key", "OpenSSL cannot make one");
  return text_of([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string public_key_of(const std::string& private_key) {
  Key key = read_private(private_key);
  return text_of([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key.get()); });
}

std::string key_id(const std::string& public_key) {
  Hasher hasher("sha256");
  hasher.update(der_of(public_key));
  return "sha256:" + to_hex(hasher.finish());
}

std::string sign(const std::string& private_key, std::string_view message) {
  Key key = read_private(private_key);
  Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1)
    throw Error(ErrorCode::internal, "Ed25519 signature", "OpenSSL cannot make one");
  return signature;
}

bool verify(const std::string& public_key, std::string_view message, std::string_view signature) {
  const std::string der = der_of(public_key);
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                      reinterpret_cast<const unsigned char*>(der.data()) + der.size() - 32, 32),
          EVP_PKEY_free);
  if (!key) refuse("public");
  Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return signature.size() == kSignatureBytes &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
}

}  // namespace graft::ed25519
