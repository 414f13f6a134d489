// The signed certificate timestamp in a certificate: RFC 6962, 3.2 and 3.3.
#include <openssl/ct.h>
#include <openssl/x509v3.h>

#include "certificate.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

void append(Bytes& out, std::uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<unsigned char>(value >> shift));
}

void append(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// What was logged before the certificate was issued: the same, without the SCTs.
Bytes precertificate(X509* certificate) {
  X509Ptr copy(X509_dup(certificate), X509_free);
  int at = copy ? X509_get_ext_by_NID(copy.get(), NID_ct_precert_scts, -1) : -1;
  if (at < 0) corrupt("its certificate has no certificate timestamp");
  X509_EXTENSION_free(X509_delete_ext(copy.get(), at));
  unsigned char* out = nullptr;
  int size = i2d_re_X509_tbs(copy.get(), &out);
  Bytes bytes = size > 0 ? Bytes(out, out + size) : Bytes();
  OPENSSL_free(out);
  return bytes;
}

Bytes signed_by_log(const SCT* sct, const Chain& chain, const Bytes& logged) {
  unsigned char* extensions = nullptr;
  const std::size_t extensions_size = SCT_get0_extensions(sct, &extensions);
  KeyPtr issuer(X509_get_pubkey(chain[1].get()), EVP_PKEY_free);
  if (!issuer) corrupt("its certificate's issuer has no public key");
  Bytes out;
  append(out, 0, 1);  // version 1
  append(out, 0, 1);  // certificate_timestamp
  append(out, SCT_get_timestamp(sct), 8);
  append(out, 1, 2);  // precert_entry
  append(out, digest(Hash::sha256, der(issuer.get())));
  append(out, logged.size(), 3);
  append(out, logged);
  append(out, extensions_size, 2);
  append(out, ByteView(extensions, extensions_size));
  return out;
}

}  // namespace

void verify_certificate_log(const Chain& chain, const TrustedRoot::Data& root) {
  int found = 0;
  std::unique_ptr<STACK_OF(SCT), decltype(&SCT_LIST_free)> scts(
      static_cast<STACK_OF(SCT)*>(
          X509_get_ext_d2i(chain.front().get(), NID_ct_precert_scts, &found, nullptr)),
      SCT_LIST_free);
  const char* mend = "have the file signed by an instance whose certificate log is in the trusted root";
  if (!scts && found == -1) refuse("its certificate has no timestamp of a certificate log", mend);
  if (!scts) corrupt("its certificate's log timestamps are malformed");
  const Bytes logged = precertificate(chain.front().get());
  std::string why = "its certificate's timestamp is by a certificate log that the trusted root does not know";
  for (int i = 0; i < sk_SCT_num(scts.get()); ++i) {
    const SCT* sct = sk_SCT_value(scts.get(), i);
    if (SCT_get_version(sct) != SCT_VERSION_V1) continue;
    unsigned char *id = nullptr, *signature = nullptr;
    const std::size_t id_size = SCT_get0_log_id(sct, &id);
    const std::size_t signature_size = SCT_get0_signature(sct, &signature);
    for (const Log& log : root.certificate_logs) {
      if (!equal(log.id, ByteView(id, id_size))) continue;
      if (!log.valid.contains(static_cast<std::int64_t>(SCT_get_timestamp(sct))))
        why = "its certificate was logged when the trusted root did not trust the certificate log";
      else if (log.verifies(signed_by_log(sct, chain, logged), ByteView(signature, signature_size)))
        return;
      else
        why = "its certificate's timestamp is not signed by the certificate log's key";
    }
  }
  refuse(why, mend);
}

}  // namespace graft::sigstore
