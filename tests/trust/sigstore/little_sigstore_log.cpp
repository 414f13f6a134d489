// The transparency logs of the tests' own Sigstore, and the bundles that it makes.
#include <openssl/pem.h>

#include "sigstore/dsse.h"
#include "graft/hash.h"
#include "little_sigstore.h"

namespace graft::test {
namespace {

using sigstore::digest;
using sigstore::Hash;
using sigstore::view;

std::string pem_of(EVP_PKEY* key, X509* certificate) {
  if (!certificate) return pem(key);
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(bio.get(), certificate);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Bytes joined(unsigned char first, ByteView left, ByteView right = {}) {
  Bytes out{first};
  out.insert(out.end(), left.begin(), left.end());
  out.insert(out.end(), right.begin(), right.end());
  return digest(Hash::sha256, out);
}

Json hash_v1(Hash hash, ByteView message) {
  return {{"algorithm", name(hash)}, {"value", to_hex(digest(hash, message))}};
}

std::string name_v2(Hash hash) {
  return hash == Hash::sha256 ? "SHA2_256" : hash == Hash::sha384 ? "SHA2_384" : "SHA2_512";
}

Json hash_v2(Hash hash, ByteView message) {
  return {{"algorithm", name_v2(hash)}, {"digest", base64(digest(hash, message))}};
}

const EVP_MD* md_of(Hash hash) {
  return hash == Hash::sha256 ? EVP_sha256() : hash == Hash::sha384 ? EVP_sha384() : EVP_sha512();
}

std::string details_of(const std::string& curve, Hash hash) {
  if (curve == "ED25519") return "PKIX_ED25519";
  if (curve == "RSA") return "PKIX_RSA_PKCS1V15_2048_SHA256";
  if (curve == "P-256") return "PKIX_ECDSA_P256_SHA_256";
  return hash == Hash::sha384 ? "PKIX_ECDSA_P384_SHA_384" : "PKIX_ECDSA_P384_SHA_256";
}

std::string statement_of(const std::string& file) {
  return Json{{"_type", "https://in-toto.io/Statement/v1"},
              {"subject",
               {{{"name", "norm.so"}, {"digest", {{"sha256", to_hex(digest(Hash::sha256, view(file)))}}}}}},
              {"predicateType", "https://graft.example/test"},
              {"predicate", Json::object()}}
      .dump();
}

}  // namespace

/// `content`: the bundle's message signature or envelope.
Json LittleSigstore::body(const Recipe& recipe, EVP_PKEY* key, X509* certificate, ByteView signature,
                          const Json& content) const {
  const Hash hash = *sigstore::hash_named(recipe.hash);
  const std::string verifier = base64(view(pem_of(key, certificate)));
  if (recipe.rekor == 2) {
    Json who = {{"keyDetails", details_of(recipe.curve, hash)}};
    if (certificate)
      who["x509Certificate"] = {{"rawBytes", base64(sigstore::der(certificate))}};
    else
      who["publicKey"] = {{"rawBytes", base64(sigstore::der(key))}};
    const Json signed_by = {{"content", base64(signature)}, {"verifier", who}};
    const Bytes payload =
        recipe.dsse ? *sigstore::decode_base64(content["payload"].get<std::string>()) : Bytes();
    if (recipe.dsse && recipe.dsse_entry)
      return {
          {"kind", "dsse"},
          {"apiVersion", "0.0.2"},
          {"spec",
           {{"dsseV002", {{"payloadHash", hash_v2(Hash::sha256, payload)}, {"signatures", {signed_by}}}}}}};
    const std::string message =
        recipe.dsse ? sigstore::pae({"application/vnd.in-toto+json", payload, {}}) : recipe.file;
    return {
        {"kind", "hashedrekord"},
        {"apiVersion", "0.0.2"},
        {"spec", {{"hashedRekordV002", {{"data", hash_v2(hash, view(message))}, {"signature", signed_by}}}}}};
  }
  if (!recipe.dsse)
    return {{"kind", "hashedrekord"},
            {"apiVersion", "0.0.1"},
            {"spec",
             {{"data", {{"hash", hash_v1(hash, view(recipe.file))}}},
              {"signature", {{"content", base64(signature)}, {"publicKey", {{"content", verifier}}}}}}}};
  const Bytes payload = *sigstore::decode_base64(content["payload"].get<std::string>());
  if (recipe.intoto_entry)
    return {{"kind", "intoto"},
            {"apiVersion", "0.0.2"},
            {"spec",
             {{"content",
               {{"envelope",
                 {{"payloadType", "application/vnd.in-toto+json"},
                  {"signatures", {{{"publicKey", verifier}, {"sig", base64(view(base64(signature)))}}}}}},
                {"payloadHash", hash_v1(Hash::sha256, payload)}}}}}};
  return {{"kind", "dsse"},
          {"apiVersion", "0.0.1"},
          {"spec",
           {{"envelopeHash", hash_v1(Hash::sha256, view(content.dump()))},
            {"payloadHash", hash_v1(Hash::sha256, payload)},
            {"signatures", {{{"signature", base64(signature)}, {"verifier", verifier}}}}}}};
}

/// The second of three entries.
Json LittleSigstore::entry(const Recipe& recipe, const Json& body) const {
  EVP_PKEY* key = recipe.rekor == 1 ? rekor1_key_.get() : rekor2_key_.get();
  const std::string canonical = body.dump();
  const Bytes before = joined(0, view("another entry")), after = joined(0, view("one more"));
  const Bytes root = joined(1, joined(1, before, joined(0, view(canonical))), after);
  const std::string origin = recipe.rekor == 1 ? "one.example" : "two.example";
  const std::string note = origin + (recipe.rekor == 1 ? " - 42" : "") + "\n3\n" + base64(root) + '\n';
  EVP_PKEY* checkpoint_key = recipe.checkpoint_key ? recipe.checkpoint_key.get() : key;
  const Bytes id = log_id(key), note_signature = sign(checkpoint_key, view(note));
  Bytes hinted = id;
  hinted.resize(4);
  hinted.insert(hinted.end(), note_signature.begin(), note_signature.end());
  Json json = {{"logIndex", recipe.rekor == 1 ? "1001" : "1"},
               {"logId", {{"keyId", base64(id)}}},
               {"kindVersion", {{"kind", body["kind"]}, {"version", body["apiVersion"]}}},
               {"inclusionProof",
                {{"logIndex", "1"},
                 {"treeSize", "3"},
                 {"rootHash", base64(root)},
                 {"hashes", {base64(before), base64(after)}},
                 {"checkpoint", {{"envelope", note + "\n\u2014 " + origin + ' ' + base64(hinted) + '\n'}}}}},
               {"canonicalizedBody", base64(view(canonical))}};
  if (recipe.rekor == 2) return json;
  json["integratedTime"] = std::to_string(recipe.logged_at);
  const std::string promise = "{\"body\":\"" + base64(view(canonical)) +
                              "\",\"integratedTime\":" + std::to_string(recipe.logged_at) + ",\"logID\":\"" +
                              to_hex(id) + "\",\"logIndex\":1001}";
  EVP_PKEY* promise_key = recipe.promise_key ? recipe.promise_key.get() : key;
  json["inclusionPromise"] = {{"signedEntryTimestamp", base64(sign(promise_key, view(promise)))}};
  return json;
}

Json LittleSigstore::bundle(const Recipe& recipe, KeyPtr signer) const {
  if (!signer) signer = make_key(recipe.curve);
  const X509Ptr leaf = recipe.with_key ? nullptr : certificate(recipe, signer.get());
  const Hash hash = *sigstore::hash_named(recipe.hash);
  Json bundle = {{"mediaType", "application/vnd.dev.sigstore.bundle.v0.3+json"}};
  Json content;
  Bytes signature;
  if (recipe.dsse) {
    const std::string statement =
        statement_of(recipe.statement_file.empty() ? recipe.file : recipe.statement_file);
    const auto payload = view(statement);
    signature =
        sign(signer.get(),
             view(sigstore::pae({"application/vnd.in-toto+json", Bytes(payload.begin(), payload.end()), {}})),
             md_of(hash));
    content = {{"payload", base64(payload)},
               {"payloadType", "application/vnd.in-toto+json"},
               {"signatures", {{{"sig", base64(signature)}}}}};
    bundle["dsseEnvelope"] = content;
  } else {
    signature = sign(signer.get(), view(recipe.file), md_of(hash));
    content = {{"messageDigest", hash_v2(hash, view(recipe.file))}, {"signature", base64(signature)}};
    bundle["messageSignature"] = content;
  }
  Json material = {
      {"tlogEntries", {entry(recipe, body(recipe, signer.get(), leaf.get(), signature, content))}}};
  if (leaf)
    material["certificate"] = {{"rawBytes", base64(sigstore::der(leaf.get()))}};
  else
    material["publicKey"] = {{"hint", "any"}};
  if (recipe.rekor == 2 || recipe.timestamp)
    material["timestampVerificationData"] = {
        {"rfc3161Timestamps", {{{"signedTimestamp", base64(timestamp(signature, recipe.stamped_at))}}}}};
  bundle["verificationMaterial"] = std::move(material);
  return bundle;
}

}  // namespace graft::test
