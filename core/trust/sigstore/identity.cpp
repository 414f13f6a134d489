// Whom a Fulcio certificate is for. Source: sigstore/fulcio, docs/oid-info.md.
#include <openssl/x509v3.h>

#include "certificate.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

/// "": no such extension.
std::string extension(X509* certificate, const char* oid, bool is_der) {
  std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> object(OBJ_txt2obj(oid, 1), ASN1_OBJECT_free);
  const int at = X509_get_ext_by_OBJ(certificate, object.get(), -1);
  if (at < 0) return {};
  if (X509_get_ext_by_OBJ(certificate, object.get(), at) >= 0)
    corrupt(std::string("its certificate has the extension ") + oid + " twice");
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
  const unsigned char* data = ASN1_STRING_get0_data(value);
  const long size = ASN1_STRING_length(value);
  if (!is_der) return std::string(text(ByteView(data, static_cast<std::size_t>(size))));
  const unsigned char* end = data;
  std::unique_ptr<ASN1_UTF8STRING, decltype(&ASN1_UTF8STRING_free)> inner(
      d2i_ASN1_UTF8STRING(nullptr, &end, size), ASN1_UTF8STRING_free);
  if (!inner || end != data + size)
    corrupt(std::string("its certificate's extension ") + oid + " is not a UTF8String");
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(inner.get())),
          static_cast<std::size_t>(ASN1_STRING_length(inner.get()))};
}

std::string subject_of(X509* certificate) {
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) refuse("its certificate does not name one signer");
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  const ASN1_STRING* value = nullptr;
  if (name->type == GEN_URI || name->type == GEN_EMAIL) value = name->d.ia5;
  if (name->type == GEN_OTHERNAME && name->d.otherName->value->type == V_ASN1_UTF8STRING) {
    char oid[64] = {};
    OBJ_obj2txt(oid, sizeof oid, name->d.otherName->type_id, 1);
    if (oid == std::string_view("1.3.6.1.4.1.57264.1.7")) value = name->d.otherName->value->value.utf8string;
  }
  if (!value) refuse("its certificate names the signer neither by URI nor by email address");
  std::string subject(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                      static_cast<std::size_t>(ASN1_STRING_length(value)));
  if (subject.empty() || subject.find('\0') != subject.npos) corrupt("its certificate's name is malformed");
  return subject;
}

bool glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = pattern.npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

constexpr const char* kMend = "if you trust who signed it, name them in the policy";

void match(const char* what, const std::string& got, const std::string& wanted) {
  if (!wanted.empty() && got != wanted)
    refuse("its certificate's " + std::string(what) + " is \"" + got + "\", not \"" + wanted + '"', kMend);
}

}  // namespace

SigstoreSigner read_identity(X509* certificate) {
  SigstoreSigner signer;
  signer.subject = subject_of(certificate);
  signer.issuer = extension(certificate, "1.3.6.1.4.1.57264.1.8", true);
  const std::string old_issuer = extension(certificate, "1.3.6.1.4.1.57264.1.1", false);
  if (signer.issuer.empty()) signer.issuer = old_issuer;
  if (signer.issuer.empty()) refuse("its certificate does not say who vouched for the signer");
  if (!old_issuer.empty() && old_issuer != signer.issuer)
    refuse("its certificate names two different issuers");
  signer.build_signer = extension(certificate, "1.3.6.1.4.1.57264.1.9", true);
  signer.source_repository = extension(certificate, "1.3.6.1.4.1.57264.1.12", true);
  return signer;
}

void check_policy(const SigstoreIdentity& wanted) {
  const auto fail = [](const char* why, const char* mend) {
    throw Error(ErrorCode::invalid_argument, "Sigstore identity", why, mend);
  };
  if (wanted.issuer.empty())
    fail("it names no issuer", "say who vouches for the signer: --certificate-oidc-issuer URL");
  if (wanted.subject.empty() && wanted.subject_pattern.empty())
    fail("it names no subject", "say who must have signed: --certificate-identity NAME");
}

void match_identity(const SigstoreSigner& signer, const SigstoreIdentity& wanted) {
  match("issuer", signer.issuer, wanted.issuer);
  match("subject", signer.subject, wanted.subject);
  match("source repository", signer.source_repository, wanted.source_repository);
  match("build signer", signer.build_signer, wanted.build_signer);
  if (!wanted.subject_pattern.empty() && !glob(wanted.subject_pattern, signer.subject))
    refuse("its certificate's subject \"" + signer.subject + "\" does not match \"" + wanted.subject_pattern +
               '"',
           kMend);
}

}  // namespace graft::sigstore
