#include "entry_body.h"

#include "dsse.h"
#include "json_text.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

using detail::Fields;

Bytes base64(const Fields& fields, const std::string& key) {
  auto bytes = decode_base64(fields.text(key));
  if (!bytes) fields.fail(key, "is not base64");
  return *std::move(bytes);
}

Hash hash_of(const Fields& fields) {
  auto hash = hash_named(fields.text("algorithm"));
  if (!hash) fields.fail("algorithm", "names no hash that Graft knows");
  return *hash;
}

Bytes hex(const Fields& fields, const std::string& key) {
  auto bytes = decode_hex(fields.text(key));
  if (!bytes) fields.fail(key, "is not hex");
  return *std::move(bytes);
}

void check(bool is_same, const char* what) {
  if (!is_same) refuse(std::string("its log entry is of another ") + what);
}

/// Rekor v1 keeps certificates and keys as PEM.
void check_pem(const Bytes& pem, const Verifier& verifier) {
  if (verifier.certificate) {
    X509Ptr logged = is_certificate_pem(text(pem)) ? parse_certificate_pem(text(pem)) : nullptr;
    check(logged && equal(der(logged.get()), der(verifier.certificate.get())), "certificate");
  } else {
    KeyPtr logged = is_certificate_pem(text(pem)) ? nullptr : parse_key_pem(text(pem));
    check(logged && equal(der(logged.get()), der(verifier.key.get())), "key");
  }
}

/// Rekor v2's {content, verifier: {x509Certificate | publicKey: {rawBytes}, keyDetails}}.
void check_signature(const Fields& signature, const Bundle& bundle, const Verifier& verifier, Hash hash) {
  check(equal(base64(signature, "content"), bundle.signature()), "signature");
  const Fields logged = signature.object("verifier");
  if (logged.has("x509Certificate") == logged.has("publicKey"))
    logged.fail("x509Certificate", "or a \"publicKey\", and one alone, must be there");
  if (verifier.certificate)
    check(logged.has("x509Certificate") &&
              equal(base64(logged.object("x509Certificate"), "rawBytes"), der(verifier.certificate.get())),
          "certificate");
  else
    check(logged.has("publicKey") &&
              equal(base64(logged.object("publicKey"), "rawBytes"), der(verifier.key.get())),
          "key");
  const Scheme* scheme = scheme_named(logged.text("keyDetails"));
  check(scheme && fits(*scheme, verifier.key.get()), "kind of key");
  check(is_ed25519(verifier.key.get()) || scheme->hash == hash, "hash");
}

Hash check_artifact(Hash hash, const Bytes& logged, const Artifact& artifact) {
  const auto* known = artifact.digest(name(hash));
  if (!known)
    refuse(std::string("its log entry has the file's ") + name(hash) + ", which is not known here",
           "give the file itself instead of its digest");
  check(equal(logged, *known), "file");
  return hash;
}

Hash check_hashedrekord_v1(const Fields& spec, const Bundle& bundle, const Verifier& verifier,
                           const Artifact& artifact) {
  const Fields hash = spec.object("data").object("hash"), signature = spec.object("signature");
  check(equal(base64(signature, "content"), bundle.signature()), "signature");
  check_pem(base64(signature.object("publicKey"), "content"), verifier);
  return check_artifact(hash_of(hash), hex(hash, "value"), artifact);
}

Hash check_hashedrekord_v2(const Fields& spec, const Bundle& bundle, const Verifier& verifier,
                           const Artifact& artifact) {
  const Fields entry = spec.object("hashedRekordV002"), data = entry.object("data");
  const Hash hash = hash_of(data);
  check_signature(entry.object("signature"), bundle, verifier, hash);
  if (bundle.message) return check_artifact(hash, base64(data, "digest"), artifact);
  check(equal(base64(data, "digest"), digest(hash, view(pae(*bundle.envelope)))), "envelope");
  return hash;
}

void check_payload(const Fields& hash, const Bytes& logged, const Bundle& bundle) {
  check(equal(logged, digest(hash_of(hash), bundle.envelope->payload)), "payload");
}

const detail::Json& only(const Fields& fields, const std::string& key) {
  const detail::Json& list = fields.array(key);
  check(list.size() == 1, "number of signatures");
  return list.front();
}

Hash check_dsse_v1(const Fields& spec, const Bundle& bundle, const Verifier& verifier) {
  const Fields hash = spec.object("payloadHash");
  check_payload(hash, hex(hash, "value"), bundle);
  const Fields signature(only(spec, "signatures"), spec.source());
  check(equal(base64(signature, "signature"), bundle.signature()), "signature");
  check_pem(base64(signature, "verifier"), verifier);
  return Hash::sha256;
}

Hash check_dsse_v2(const Fields& spec, const Bundle& bundle, const Verifier& verifier) {
  const Fields entry = spec.object("dsseV002"), hash = entry.object("payloadHash");
  check_payload(hash, base64(hash, "digest"), bundle);
  const Fields signature(only(entry, "signatures"), entry.source());
  const Scheme* scheme = scheme_named(signature.object("verifier").text("keyDetails"));
  check_signature(signature, bundle, verifier, scheme ? scheme->hash : Hash::sha256);
  return Hash::sha256;
}

/// Its signatures are base64 of base64.
Hash check_intoto(const Fields& spec, const Bundle& bundle, const Verifier& verifier) {
  const Fields content = spec.object("content"), envelope = content.object("envelope");
  const Fields hash = content.object("payloadHash");
  check_payload(hash, hex(hash, "value"), bundle);
  check(envelope.text("payloadType") == bundle.envelope->payload_type, "payload type");
  const Fields signature(only(envelope, "signatures"), envelope.source());
  const auto inner = decode_base64(text(base64(signature, "sig")));
  check(inner && equal(*inner, bundle.signature()), "signature");
  check_pem(base64(signature, "publicKey"), verifier);
  return Hash::sha256;
}

}  // namespace

Hash check_body(const LogEntry& entry, const Bundle& bundle, const Verifier& verifier,
                const Artifact& artifact) {
  const std::string source = "the bundle's log entry";
  const detail::Json json = detail::parse_object(text(entry.body), source, detail::DuplicateKeys::refused);
  const Fields body(json, source);
  check(body.text("kind") == entry.kind && body.text("apiVersion") == entry.version, "kind or version");
  const Fields spec = body.object("spec");
  const std::string kind = entry.kind + ' ' + entry.version;
  if (kind == "hashedrekord 0.0.2") return check_hashedrekord_v2(spec, bundle, verifier, artifact);
  if (bundle.message && kind == "hashedrekord 0.0.1")
    return check_hashedrekord_v1(spec, bundle, verifier, artifact);
  if (bundle.envelope && kind == "dsse 0.0.1") return check_dsse_v1(spec, bundle, verifier);
  if (bundle.envelope && kind == "dsse 0.0.2") return check_dsse_v2(spec, bundle, verifier);
  if (bundle.envelope && kind == "intoto 0.0.2") return check_intoto(spec, bundle, verifier);
  refuse(
      "its log entry is of kind \"" + kind.substr(0, 80) + "\", which does not say what such a bundle signs",
      "have the file signed again");
}

}  // namespace graft::sigstore
