#include "little_sigstore.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "graft/hash.h"

namespace graft::test {
namespace {

void check(bool done) {
  if (!done) throw std::runtime_error("the test's own Sigstore: OpenSSL refused");
}

void add_extension(X509* certificate, X509* issuer, const std::string& name, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer ? issuer : certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf(nullptr, &context, name.c_str(), value.c_str());
  check(extension && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Json range(std::int64_t from, std::int64_t to = 0) {
  Json json = {{"start", sigstore::time_text(from)}};
  if (to) json["end"] = sigstore::time_text(to);
  return json;
}

Json log_json(const char* url, EVP_PKEY* key, const char* details, ByteView id) {
  return {{"baseUrl", url},
          {"hashAlgorithm", "SHA2_256"},
          {"publicKey",
           {{"rawBytes", base64(sigstore::der(key))},
            {"keyDetails", details},
            {"validFor", range(kNow - kYear)}}},
          {"logId", {{"keyId", base64(id)}}}};
}

Json authority_json(const char* uri, std::initializer_list<X509*> chain) {
  Json certificates = Json::array();
  for (X509* certificate : chain) certificates.push_back({{"rawBytes", base64(sigstore::der(certificate))}});
  return {{"subject", {{"organization", "test"}, {"commonName", "test"}}},
          {"uri", uri},
          {"certChain", {{"certificates", certificates}}},
          {"validFor", range(kNow - kYear)}};
}

}  // namespace

KeyPtr make_key(const std::string& kind) {
  EVP_PKEY* key = kind == "ED25519" ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                  : kind == "RSA"   ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})
                                    : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  check(key);
  return KeyPtr(key, EVP_PKEY_free);
}

std::string pem(EVP_PKEY* key) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  check(PEM_write_bio_PUBKEY(bio.get(), key) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

std::string base64(ByteView bytes) {
  return to_base64(Bytes(bytes.begin(), bytes.end()));
}

Bytes sign(EVP_PKEY* key, ByteView message, const EVP_MD* md) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (sigstore::is_ed25519(key)) md = nullptr;
  std::size_t size = 0;
  check(EVP_DigestSignInit(context.get(), nullptr, md, nullptr, key) == 1 &&
        EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1);
  Bytes signature(size);
  check(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
  signature.resize(size);
  return signature;
}

X509Ptr make_certificate(const CertificateParts& parts) {
  X509Ptr certificate(X509_new(), X509_free);
  static std::int64_t serial = 1;
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate.get()), serial++);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), parts.start);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), parts.end);
  X509_set_pubkey(certificate.get(), parts.key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  if (!parts.name.empty())
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(parts.name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), parts.issuer ? X509_get_subject_name(parts.issuer) : name);
  for (const auto& [key, value] : parts.extensions)
    add_extension(certificate.get(), parts.issuer, key, value);
  check(X509_sign(certificate.get(), parts.issuer_key ? parts.issuer_key : parts.key, EVP_sha256()) > 0);
  return certificate;
}

Bytes log_id(EVP_PKEY* key) {
  return sigstore::digest(sigstore::Hash::sha256, sigstore::der(key));
}

LittleSigstore::LittleSigstore()
    : ca_key_(make_key()),
      intermediate_key_(make_key()),
      ct_key_(make_key()),
      rekor1_key_(make_key()),
      rekor2_key_(make_key("ED25519")),
      tsa_key_(make_key()) {
  const std::vector<std::pair<std::string, std::string>> ca = {{"basicConstraints", "critical,CA:TRUE"},
                                                               {"keyUsage", "critical,keyCertSign"},
                                                               {"subjectKeyIdentifier", "hash"}};
  ca_ = make_certificate({.name = "root", .key = ca_key_.get(), .extensions = ca});
  intermediate_ = make_certificate({.name = "intermediate",
                                    .key = intermediate_key_.get(),
                                    .issuer = ca_.get(),
                                    .issuer_key = ca_key_.get(),
                                    .extensions = ca});
  tsa_ = make_certificate({.name = "timestamps",
                           .key = tsa_key_.get(),
                           .issuer = ca_.get(),
                           .issuer_key = ca_key_.get(),
                           .extensions = {{"keyUsage", "critical,digitalSignature"},
                                          {"extendedKeyUsage", "critical,timeStamping"}}});
}

Json LittleSigstore::root() const {
  return {
      {"mediaType", "application/vnd.dev.sigstore.trustedroot+json;version=0.1"},
      {"tlogs",
       {log_json("https://one.example", rekor1_key_.get(), "PKIX_ECDSA_P256_SHA_256",
                 log_id(rekor1_key_.get())),
        log_json("https://two.example", rekor2_key_.get(), "PKIX_ED25519", log_id(rekor2_key_.get()))}},
      {"ctlogs",
       {log_json("https://ct.example", ct_key_.get(), "PKIX_ECDSA_P256_SHA_256", log_id(ct_key_.get()))}},
      {"certificateAuthorities", {authority_json("https://ca.example", {intermediate_.get(), ca_.get()})}},
      {"timestampAuthorities", {authority_json("https://tsa.example", {tsa_.get(), ca_.get()})}}};
}

X509Ptr LittleSigstore::certificate(const Recipe& recipe, EVP_PKEY* key) const {
  const std::string name =
      (recipe.subject.find("://") == std::string::npos ? "email:" : "URI:") + recipe.subject;
  CertificateParts parts{
      .name = "",
      .key = key,
      .issuer = intermediate_.get(),
      .issuer_key = intermediate_key_.get(),
      .start = recipe.certificate_start,
      .end = recipe.certificate_end,
      .extensions = {{"keyUsage", "critical,digitalSignature"},
                     {"extendedKeyUsage", recipe.leaf_usage},
                     {"subjectAltName", "critical," + name + (recipe.two_subjects ? ",email:a@b.c" : "")},
                     {"1.3.6.1.4.1.57264.1.8", "ASN1:UTF8String:" + recipe.issuer},
                     {"1.3.6.1.4.1.57264.1.12", "ASN1:UTF8String:https://github.com/graft/norm"}}};
  if (recipe.leaf_is_ca) parts.extensions.emplace_back("basicConstraints", "critical,CA:TRUE");
  X509Ptr certificate = make_certificate(parts);
  if (recipe.without_sct) return certificate;

  // The log signs the certificate before its timestamp is in it (RFC 6962, 3.2).
  unsigned char* tbs = nullptr;
  const int size = i2d_re_X509_tbs(certificate.get(), &tbs);
  EVP_PKEY* ct_key = recipe.ct_key ? recipe.ct_key.get() : ct_key_.get();
  const auto number = [](std::uint64_t value, int bytes) {
    Bytes out;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out.push_back(static_cast<unsigned char>(value >> shift));
    return out;
  };
  const auto join = [](std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  };
  const Bytes time = number(static_cast<std::uint64_t>(recipe.certificate_start) * 1000, 8);
  const Bytes issuer = sigstore::digest(sigstore::Hash::sha256, sigstore::der(intermediate_key_.get()));
  const Bytes message = join({{0, 0},
                              time,
                              {0, 1},
                              issuer,
                              number(static_cast<std::uint64_t>(size), 3),
                              Bytes(tbs, tbs + size),
                              {0, 0}});
  OPENSSL_free(tbs);
  const Bytes signature = sign(ct_key, message);
  const Bytes sct = join({{0}, log_id(ct_key), time, {0, 0}, {4, 3}, number(signature.size(), 2), signature});
  const Bytes list = join({number(sct.size() + 2, 2), number(sct.size(), 2), sct});
  add_extension(certificate.get(), nullptr, "1.3.6.1.4.1.11129.2.4.2",
                "ASN1:FORMAT:HEX,OCTETSTRING:" + to_hex(list));
  check(X509_sign(certificate.get(), intermediate_key_.get(), EVP_sha256()) > 0);
  return certificate;
}

Bytes LittleSigstore::timestamp(ByteView signature, std::int64_t time) const {
  std::unique_ptr<TS_REQ, decltype(&TS_REQ_free)> request(TS_REQ_new(), TS_REQ_free);
  std::unique_ptr<TS_MSG_IMPRINT, decltype(&TS_MSG_IMPRINT_free)> imprint(TS_MSG_IMPRINT_new(),
                                                                          TS_MSG_IMPRINT_free);
  std::unique_ptr<X509_ALGOR, decltype(&X509_ALGOR_free)> algorithm(X509_ALGOR_new(), X509_ALGOR_free);
  X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(NID_sha256), V_ASN1_NULL, nullptr);
  Bytes hash = sigstore::digest(sigstore::Hash::sha256, signature);
  check(TS_MSG_IMPRINT_set_algo(imprint.get(), algorithm.get()) &&
        TS_MSG_IMPRINT_set_msg(imprint.get(), hash.data(), static_cast<int>(hash.size())) &&
        TS_REQ_set_version(request.get(), 1) && TS_REQ_set_msg_imprint(request.get(), imprint.get()));
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  check(i2d_TS_REQ_bio(bio.get(), request.get()) == 1);

  std::unique_ptr<TS_RESP_CTX, decltype(&TS_RESP_CTX_free)> context(TS_RESP_CTX_new(), TS_RESP_CTX_free);
  std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> policy(OBJ_txt2obj("1.2.3.4", 1),
                                                                   ASN1_OBJECT_free);
  check(TS_RESP_CTX_set_signer_cert(context.get(), tsa_.get()) &&
        TS_RESP_CTX_set_signer_key(context.get(), tsa_key_.get()) &&
        TS_RESP_CTX_set_signer_digest(context.get(), EVP_sha256()) &&
        TS_RESP_CTX_set_ess_cert_id_digest(context.get(), EVP_sha256()) &&
        TS_RESP_CTX_set_def_policy(context.get(), policy.get()) &&
        TS_RESP_CTX_add_md(context.get(), EVP_sha256()));
  TS_RESP_CTX_set_time_cb(
      context.get(),
      [](TS_RESP_CTX*, void* data, long* seconds, long* microseconds) {
        *seconds = static_cast<long>(*static_cast<std::int64_t*>(data));
        *microseconds = 0;
        return 1;
      },
      &time);
  std::unique_ptr<TS_RESP, decltype(&TS_RESP_free)> response(
      TS_RESP_create_response(context.get(), bio.get()), TS_RESP_free);
  unsigned char* out = nullptr;
  const int size = i2d_TS_RESP(response.get(), &out);
  check(size > 0);
  Bytes bytes(out, out + size);
  OPENSSL_free(out);
  return bytes;
}

}  // namespace graft::test
