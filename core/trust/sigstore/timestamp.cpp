#include "timestamp.h"

#include <openssl/pkcs7.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "certificate.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

using Response = std::unique_ptr<TS_RESP, decltype(&TS_RESP_free)>;

Response parse(ByteView der) {
  const unsigned char* at = der.data();
  Response response(d2i_TS_RESP(nullptr, &at, static_cast<long>(der.size())), TS_RESP_free);
  if (!response || at != der.data() + der.size()) corrupt("a timestamp is not an RFC 3161 response in DER");
  const ASN1_INTEGER* status = TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(response.get()));
  const long code = status ? ASN1_INTEGER_get(status) : -1;
  if (code != TS_STATUS_GRANTED && code != TS_STATUS_GRANTED_WITH_MODS)
    refuse("a timestamp was not granted by its authority");
  PKCS7* token = TS_RESP_get_token(response.get());
  if (!token || !PKCS7_type_is_signed(token) || !TS_RESP_get_tst_info(response.get()))
    corrupt("a timestamp holds no signed token");
  STACK_OF(PKCS7_SIGNER_INFO)* signers = PKCS7_get_signer_info(token);
  if (!signers || sk_PKCS7_SIGNER_INFO_num(signers) != 1) corrupt("a timestamp does not have one signer");
  return response;
}

std::int64_t time_of(TS_TST_INFO* info) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &parts) != 1) corrupt("a timestamp's time is malformed");
  return timegm(&parts);
}

/// Whether it is this signature that was stamped.
bool is_of(TS_TST_INFO* info, ByteView signature) {
  TS_MSG_IMPRINT* imprint = TS_TST_INFO_get_msg_imprint(info);
  const ASN1_OBJECT* algorithm = nullptr;
  X509_ALGOR_get0(&algorithm, nullptr, nullptr, TS_MSG_IMPRINT_get_algo(imprint));
  std::optional<Hash> hash;
  switch (OBJ_obj2nid(algorithm)) {
    case NID_sha256:
      hash = Hash::sha256;
      break;
    case NID_sha384:
      hash = Hash::sha384;
      break;
    case NID_sha512:
      hash = Hash::sha512;
      break;
    default:
      refuse("a timestamp is over another hash than SHA-256, SHA-384 or SHA-512");
  }
  const ASN1_OCTET_STRING* stamped = TS_MSG_IMPRINT_get_msg(imprint);
  return equal(digest(*hash, signature), ByteView(ASN1_STRING_get0_data(stamped),
                                                  static_cast<std::size_t>(ASN1_STRING_length(stamped))));
}

/// The authority's own signer, if the trusted root names it rather than its issuers alone.
X509* pinned(const CertificateAuthority& authority) {
  X509* first = authority.chain.front().get();
  return is_ca(first) ? nullptr : first;
}

bool is_signer(PKCS7* token, X509* certificate) {
  PKCS7_SIGNER_INFO* info = sk_PKCS7_SIGNER_INFO_value(PKCS7_get_signer_info(token), 0);
  const PKCS7_ISSUER_AND_SERIAL* name = info->issuer_and_serial;
  return X509_NAME_cmp(name->issuer, X509_get_issuer_name(certificate)) == 0 &&
         ASN1_INTEGER_cmp(name->serial, X509_get0_serialNumber(certificate)) == 0;
}

/// The token's signature and its signer's certificate, whose times are the caller's to check. Empty: not by
/// this one.
Chain signer_chain(PKCS7* token, const CertificateAuthority& authority) {
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  struct Stack {
    STACK_OF(X509) * all = sk_X509_new_null();
    ~Stack() { sk_X509_free(all); }
  } certificates;
  if (!store || !certificates.all || X509_STORE_add_cert(store.get(), authority.chain.back().get()) != 1)
    throw Error(ErrorCode::internal, "Sigstore bundle", "OpenSSL has no memory");
  X509_STORE_set_flags(store.get(), X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
  for (const X509Ptr& certificate : authority.chain) sk_X509_push(certificates.all, certificate.get());
  X509* found = nullptr;
  if (TS_RESP_verify_signature(token, certificates.all, store.get(), &found) != 1) return {};
  X509Ptr signer(found, X509_free);
  if (X509* only = pinned(authority); only && X509_cmp(only, signer.get()) != 0) return {};
  std::string why;
  return chain_to(authority, signer.get(), Purpose::timestamping, why);
}

}  // namespace

std::optional<std::int64_t> verify_timestamp(ByteView der, ByteView signature,
                                             const TrustedRoot::Data& root) {
  const Response response = parse(der);
  PKCS7* token = TS_RESP_get_token(response.get());
  TS_TST_INFO* info = TS_RESP_get_tst_info(response.get());
  const std::int64_t time = time_of(info);
  std::string why;
  for (const CertificateAuthority& authority : root.timestamp_authorities) {
    X509* own = pinned(authority);
    if (own && !is_signer(token, own)) continue;
    const Chain chain = signer_chain(token, authority);
    if (chain.empty()) {
      if (own) why = "a timestamp is not signed by the timestamp authority that it names";
      continue;
    }
    std::string other;
    if (!is_of(info, signature)) {
      why = "a timestamp is of another signature";
    } else if (!valid_at(chain, time, other)) {
      why = "a timestamp authority's certificate was not valid when it stamped: " + other;
    } else if (!authority.valid.contains(time * 1000)) {
      why = "a timestamp is of " + time_text(time) + ", when the trusted root did not trust its authority";
    } else {
      return time;
    }
  }
  if (!why.empty()) refuse(why);
  return std::nullopt;
}

}  // namespace graft::sigstore
