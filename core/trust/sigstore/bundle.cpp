#include "bundle.h"

#include "certificate.h"
#include "message.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

constexpr std::size_t kMaxEntries = 32, kMaxTimestamps = 32, kMaxCertificates = 16;
constexpr std::int64_t kLastSecond = 253402300799;  // the year 9999's; times in milliseconds do not overflow

int version_of(const std::string& media_type) {
  if (media_type == "application/vnd.dev.sigstore.bundle+json;version=0.1") return 1;
  if (media_type == "application/vnd.dev.sigstore.bundle+json;version=0.2") return 2;
  if (media_type == "application/vnd.dev.sigstore.bundle+json;version=0.3" ||
      media_type == "application/vnd.dev.sigstore.bundle.v0.3+json")
    return 3;
  throw Error(ErrorCode::unsupported, "Sigstore bundle",
              "its mediaType \"" + media_type.substr(0, 80) + "\" is unknown",
              "have it signed in a format from 0.1 to 0.3, or update Graft");
}

X509Ptr certificate_in(const Message& message) {
  X509Ptr certificate = parse_certificate_der(message.bytes("rawBytes"));
  if (!certificate) message.fail("rawBytes", "is not an X.509 certificate in DER");
  return certificate;
}

/// The first of the chain; the trusted root alone says who may have issued it.
X509Ptr leaf_of_chain(const Message& chain) {
  const auto certificates = chain.messages("certificates", {"rawBytes"});
  if (certificates.empty()) chain.fail("certificates", "is empty");
  if (certificates.size() > kMaxCertificates) chain.fail("certificates", "is longer than 16");
  X509Ptr leaf = certificate_in(certificates.front());
  for (std::size_t i = 1; i < certificates.size(); ++i)
    if (is_self_issued(certificate_in(certificates[i]).get()))
      refuse("it brings a root certificate of its own",
             "roots are taken from the trusted root alone; sign it again");
  return leaf;
}

InclusionProof read_proof(const Message& message) {
  InclusionProof proof;
  proof.log_index = message.whole("logIndex");
  proof.tree_size = message.whole("treeSize");
  proof.root_hash = message.bytes("rootHash");
  proof.hashes = message.list_of_bytes("hashes");
  if (message.has("checkpoint"))
    proof.checkpoint = message.message("checkpoint", {"envelope"}).text("envelope");
  return proof;
}

LogEntry read_entry(const Message& message) {
  LogEntry entry;
  entry.log_index = message.whole("logIndex");
  entry.log_id = message.message("logId", {"keyId"}).bytes("keyId");
  const Message kind = message.message("kindVersion", {"kind", "version"});
  entry.kind = kind.text("kind");
  entry.version = kind.text("version");
  entry.integrated_time = message.whole("integratedTime");
  if (entry.integrated_time > kLastSecond) message.fail("integratedTime", "is after the year 9999");
  if (message.has("inclusionPromise")) {
    const Message promise = message.message("inclusionPromise", {"signedEntryTimestamp"});
    entry.promise = promise.bytes("signedEntryTimestamp");
    if (entry.promise.empty()) promise.fail("signedEntryTimestamp", "is empty");
  }
  if (message.has("inclusionProof"))
    entry.proof = read_proof(
        message.message("inclusionProof", {"logIndex", "rootHash", "treeSize", "hashes", "checkpoint"}));
  entry.body = message.bytes("canonicalizedBody");
  if (entry.log_id.empty()) message.fail("logId", "is empty");
  if (entry.body.empty()) message.fail("canonicalizedBody", "is empty");
  return entry;
}

Envelope read_envelope(const Message& message) {
  Envelope envelope;
  envelope.payload_type = message.text("payloadType");
  envelope.payload = message.bytes("payload");
  const auto signatures = message.messages("signatures", {"sig", "keyid"});
  if (signatures.size() != 1)
    message.fail("signatures", "holds " + std::to_string(signatures.size()) + " signatures instead of one");
  envelope.signature = signatures.front().bytes("sig");
  if (envelope.signature.empty()) message.fail("signatures", "holds an empty signature");
  return envelope;
}

MessageSignature read_signature(const Message& message) {
  MessageSignature signature;
  if (message.has("messageDigest")) {
    const Message digest = message.message("messageDigest", {"algorithm", "digest"});
    signature.digest_algorithm = digest.text("algorithm");
    signature.digest = digest.bytes("digest");
    if (!hash_named(signature.digest_algorithm)) digest.fail("algorithm", "names no hash that Graft knows");
  }
  signature.signature = message.bytes("signature");
  if (signature.signature.empty()) message.fail("signature", "is empty");
  return signature;
}

void read_material(const Message& material, Bundle& bundle) {
  const bool key = material.has("publicKey"), chain = material.has("x509CertificateChain"),
             certificate = material.has("certificate");
  if (key + chain + certificate != 1)
    material.fail("certificate", "or a \"publicKey\", and one alone, must say who signed");
  if (key) {
    material.message("publicKey", {"hint"});
  } else if (bundle.version >= 3) {
    if (chain) material.fail("x509CertificateChain", "is not what a bundle of version 0.3 has");
    bundle.certificate = certificate_in(material.message("certificate", {"rawBytes"}));
  } else {
    if (certificate) material.fail("certificate", "is not what a bundle before version 0.3 has");
    bundle.certificate = leaf_of_chain(material.message("x509CertificateChain", {"certificates"}));
  }
  for (const Message& entry :
       material.messages("tlogEntries", {"logIndex", "logId", "kindVersion", "integratedTime",
                                         "inclusionPromise", "inclusionProof", "canonicalizedBody"}))
    bundle.entries.push_back(read_entry(entry));
  if (bundle.entries.size() > kMaxEntries) material.fail("tlogEntries", "is longer than 32");
  if (material.has("timestampVerificationData"))
    for (const Message& timestamp : material.message("timestampVerificationData", {"rfc3161Timestamps"})
                                        .messages("rfc3161Timestamps", {"signedTimestamp"}))
      bundle.timestamps.push_back(timestamp.bytes("signedTimestamp"));
  if (bundle.timestamps.size() > kMaxTimestamps) material.fail("rfc3161Timestamps", "is longer than 32");
}

}  // namespace

Bundle parse_bundle(std::string_view json) {
  if (json.size() > kMaxBundleBytes) corrupt("larger than 16 MiB");
  const detail::Json parsed = detail::parse_object(json, "Sigstore bundle", detail::DuplicateKeys::refused);
  const Message message(parsed, "Sigstore bundle",
                        {"mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope"});
  Bundle bundle;
  bundle.version = version_of(message.text("mediaType"));
  read_material(message.message("verificationMaterial", {"publicKey", "x509CertificateChain", "certificate",
                                                         "tlogEntries", "timestampVerificationData"}),
                bundle);
  if (message.has("messageSignature") == message.has("dsseEnvelope"))
    message.fail("messageSignature", "or a \"dsseEnvelope\", and one alone, must be there");
  if (message.has("messageSignature"))
    bundle.message = read_signature(message.message("messageSignature", {"messageDigest", "signature"}));
  else
    bundle.envelope =
        read_envelope(message.message("dsseEnvelope", {"payload", "payloadType", "signatures"}));
  return bundle;
}

}  // namespace graft::sigstore
