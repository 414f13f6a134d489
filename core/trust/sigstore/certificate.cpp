#include "certificate.h"

#include <openssl/x509v3.h>

#include <ctime>

#include "refuse.h"

namespace graft::sigstore {
namespace {

X509Ptr share(X509* certificate) {
  X509_up_ref(certificate);
  return X509Ptr(certificate, X509_free);
}

std::int64_t seconds(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) corrupt("a certificate's validity is not a time");
  return timegm(&parts);
}

bool has_extended_usage(X509* certificate, std::uint32_t usage) {
  return X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE &&
         X509_get_extended_key_usage(certificate) & usage;
}

/// What OpenSSL has no purpose for before 3.2.
bool may_sign_code(const Chain& chain, std::string& why) {
  X509* leaf = chain.front().get();
  if (!has_extended_usage(leaf, XKU_CODE_SIGN)) {
    why = "the certificate is not for signing code";
    return false;
  }
  if (!(X509_get_extension_flags(leaf) & EXFLAG_KUSAGE) ||
      !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE)) {
    why = "the certificate is not for digital signatures";
    return false;
  }
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (X509_get_extension_flags(chain[i].get()) & EXFLAG_XKUSAGE &&
        !has_extended_usage(chain[i].get(), XKU_CODE_SIGN | XKU_ANYEKU)) {
      why = "an issuer of the certificate may not issue certificates for signing code";
      return false;
    }
  return true;
}

struct StackOfX509 {
  STACK_OF(X509) * certificates = sk_X509_new_null();
  ~StackOfX509() { sk_X509_free(certificates); }
};

}  // namespace

bool is_ca(X509* certificate) {
  // X509_check_ca would not call one a CA whose key usage contradicts its basic constraints.
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  return flags & EXFLAG_CA || (flags & EXFLAG_KUSAGE && X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN);
}

bool is_self_issued(X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

std::pair<std::int64_t, std::int64_t> validity(X509* certificate) {
  return {seconds(X509_get0_notBefore(certificate)), seconds(X509_get0_notAfter(certificate))};
}

Chain chain_to(const CertificateAuthority& authority, X509* leaf, Purpose purpose, std::string& why) {
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                          X509_STORE_CTX_free);
  StackOfX509 between;
  if (!store || !context || !between.certificates ||
      X509_STORE_add_cert(store.get(), authority.chain.back().get()) != 1)
    throw Error(ErrorCode::internal, "Sigstore bundle", "OpenSSL has no memory");
  for (std::size_t i = 0; i + 1 < authority.chain.size(); ++i)
    sk_X509_push(between.certificates, authority.chain[i].get());
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf, between.certificates) != 1)
    throw Error(ErrorCode::internal, "Sigstore bundle", "OpenSSL refused the certificate");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  // Times are valid_at's: OpenSSL takes the last second of a certificate for outside.
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_auth_level(param, 2);  // 112 bits: no SHA-1, no RSA below 2048
  if (purpose == Purpose::timestamping)
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_TIMESTAMP_SIGN);
  if (X509_verify_cert(context.get()) != 1) {
    why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
    return {};
  }
  Chain chain;
  STACK_OF(X509)* found = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(found); ++i) chain.push_back(share(sk_X509_value(found, i)));
  if (chain.size() < 2) {
    why = "it is itself a certificate authority's";
    return {};
  }
  if (purpose == Purpose::code_signing && !may_sign_code(chain, why)) return {};
  return chain;
}

bool valid_at(const Chain& chain, std::int64_t time, std::string& why) {
  for (const X509Ptr& certificate : chain) {
    const auto [first, last] = validity(certificate.get());
    if (time >= first && time <= last) continue;
    why = std::string(certificate == chain.front() ? "the certificate is" : "a certificate above it is") +
          " valid from " + time_text(first) + " to " + time_text(last) + ", and the time was " +
          time_text(time);
    return false;
  }
  return true;
}

Chain verify_signing_certificate(X509* leaf, const TrustedRoot::Data& root,
                                 const std::vector<std::int64_t>& times) {
  if (X509_get_version(leaf) != 2) refuse("its certificate is not of X.509's version 3");
  if (X509_get_extension_flags(leaf) & EXFLAG_INVALID) refuse("its certificate's extensions are malformed");
  if (is_ca(leaf)) refuse("its certificate is a certificate authority's, not a signer's");
  std::string why = "the trusted root has no certificate authority";
  bool is_issued = false;
  for (const CertificateAuthority& authority : root.certificate_authorities) {
    std::string other;
    Chain chain = chain_to(authority, leaf, Purpose::code_signing, other);
    bool is_valid = !chain.empty();
    for (std::int64_t time : times) {
      if (!is_valid) break;
      is_valid = valid_at(chain, time, other);
      if (is_valid && !authority.valid.contains(time * 1000)) {
        is_valid = false;
        other = "the trusted root does not trust the certificate authority at " + time_text(time);
      }
    }
    if (is_valid) return chain;
    if (!is_issued) why = other;  // the refusal of who issued it says more than the others'
    is_issued = is_issued || !chain.empty();
  }
  if (is_issued) refuse("its certificate was not valid when it signed: " + why, "have the file signed again");
  refuse("its certificate does not lead to the trusted root: " + why,
         "check that the trusted root is of the Sigstore instance that signed");
}

}  // namespace graft::sigstore
