#include "trusted_root.h"

#include <algorithm>

#include "certificate.h"
#include "message.h"
#include "refuse.h"

namespace graft::sigstore {

extern const char kEmbeddedTrustedRoot[];  // made from trusted_root.json by embed.cmake
extern const std::size_t kEmbeddedTrustedRootSize;

namespace {

TimeRange read_range(const Message& owner) {
  if (!owner.has("validFor")) owner.fail("validFor", "is missing");
  const Message message = owner.message("validFor", {"start", "end"});
  const auto time = [&](const char* key) {
    auto value = decode_time(message.text(key));
    if (!value) message.fail(key, "is not a time in RFC 3339");
    return *value;
  };
  TimeRange range;
  if (!message.has("start")) message.fail("start", "is missing");
  range.start = time("start");
  if (message.has("end")) range.end = time("end");
  if (range.end && *range.end < range.start) message.fail("end", "is before \"start\"");
  return range;
}

std::vector<Log> read_logs(const Message& root, const char* key) {
  std::vector<Log> logs;
  for (const Message& message : root.messages(
           key, {"baseUrl", "hashAlgorithm", "publicKey", "logId", "checkpointKeyId", "operator"})) {
    Log log;
    log.base_url = message.text("baseUrl");
    if (message.text("hashAlgorithm") != "SHA2_256") message.fail("hashAlgorithm", "is not SHA2_256");
    log.id = message.message("logId", {"keyId"}).bytes("keyId");
    if (log.id.size() < 4) message.fail("logId", "is shorter than 4 bytes");
    log.checkpoint_id = log.id;
    if (message.has("checkpointKeyId"))
      log.checkpoint_id = message.message("checkpointKeyId", {"keyId"}).bytes("keyId");
    if (log.checkpoint_id.size() < 4) message.fail("checkpointKeyId", "is shorter than 4 bytes");
    const Message public_key = message.message("publicKey", {"rawBytes", "keyDetails", "validFor"});
    log.valid = read_range(public_key);
    log.key = parse_key_der(public_key.bytes("rawBytes"));
    log.scheme = log.key ? scheme_named(public_key.text("keyDetails")) : nullptr;
    if (log.scheme && !fits(*log.scheme, log.key.get()))
      public_key.fail("keyDetails", "does not fit the key");
    logs.push_back(std::move(log));
  }
  return logs;
}

std::vector<CertificateAuthority> read_authorities(const Message& root, const char* key) {
  std::vector<CertificateAuthority> authorities;
  for (const Message& message : root.messages(key, {"subject", "uri", "certChain", "validFor", "operator"})) {
    CertificateAuthority authority;
    authority.uri = message.text("uri");
    authority.valid = read_range(message);
    const Message chain = message.message("certChain", {"certificates"});
    for (const Message& certificate : chain.messages("certificates", {"rawBytes"})) {
      authority.chain.push_back(parse_certificate_der(certificate.bytes("rawBytes")));
      if (!authority.chain.back()) certificate.fail("rawBytes", "is not an X.509 certificate in DER");
    }
    if (authority.chain.empty()) chain.fail("certificates", "is empty");
    if (authority.chain.size() > 16) chain.fail("certificates", "is longer than 16");
    authorities.push_back(std::move(authority));
  }
  return authorities;
}

TrustedRoot::Service service_of(const char* kind, const Log& log) {
  TrustedRoot::Service service{kind, log.base_url, log.valid.start / 1000, {}};
  if (log.valid.end) service.end = *log.valid.end / 1000;
  return service;
}

TrustedRoot::Service service_of(const char* kind, const CertificateAuthority& authority) {
  TrustedRoot::Service service{kind, authority.uri, authority.valid.start / 1000, {}};
  if (authority.valid.end) service.end = *authority.valid.end / 1000;
  for (const X509Ptr& certificate : authority.chain) {
    const std::int64_t end = validity(certificate.get()).second;
    service.end = std::min(service.end.value_or(end), end);
  }
  return service;
}

}  // namespace
}  // namespace graft::sigstore

namespace graft {

TrustedRoot TrustedRoot::parse(std::string_view json, const std::string& source) {
  using namespace sigstore;
  ErrorMark mark;
  if (json.size() > (std::size_t{16} << 20)) corrupt("larger than 16 MiB", source);
  const detail::Json parsed = detail::parse_object(json, source, detail::DuplicateKeys::refused);
  const Message message(parsed, source,
                        {"mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"});
  const std::string type = message.text("mediaType");
  if (type != "application/vnd.dev.sigstore.trustedroot+json;version=0.1" &&
      type != "application/vnd.dev.sigstore.trustedroot.v0.2+json")
    throw Error(ErrorCode::unsupported, source, "its mediaType \"" + type.substr(0, 80) + "\" is unknown",
                "use a trusted root of version 0.1 or 0.2");
  auto data = std::make_shared<Data>();
  data->logs = read_logs(message, "tlogs");
  data->certificate_logs = read_logs(message, "ctlogs");
  data->certificate_authorities = read_authorities(message, "certificateAuthorities");
  data->timestamp_authorities = read_authorities(message, "timestampAuthorities");
  TrustedRoot root;
  root.data_ = std::move(data);
  return root;
}

const TrustedRoot& TrustedRoot::embedded() {
  static const TrustedRoot root = parse({sigstore::kEmbeddedTrustedRoot, sigstore::kEmbeddedTrustedRootSize},
                                        "the embedded trusted root");
  return root;
}

std::vector<TrustedRoot::Service> TrustedRoot::services() const {
  std::vector<Service> services;
  for (const auto& one : data_->certificate_authorities)
    services.push_back(sigstore::service_of("certificate authority", one));
  for (const auto& one : data_->logs) services.push_back(sigstore::service_of("transparency log", one));
  for (const auto& one : data_->certificate_logs)
    services.push_back(sigstore::service_of("certificate log", one));
  for (const auto& one : data_->timestamp_authorities)
    services.push_back(sigstore::service_of("timestamp authority", one));
  return services;
}

std::optional<std::int64_t> TrustedRoot::expires() const {
  // Of each kind the last to end counts, of these kinds the first. Timestamps are not needed by Rekor v1.
  std::map<std::string, std::optional<std::int64_t>> last;
  for (const Service& service : services()) {
    if (service.kind == "timestamp authority") continue;
    auto [at, is_first] = last.try_emplace(service.kind, service.end);
    if (!is_first) at->second = at->second && service.end ? std::max(at->second, service.end) : std::nullopt;
  }
  std::optional<std::int64_t> first;
  for (const auto& [kind, end] : last)
    if (end) first = std::min(first.value_or(*end), *end);
  return first;
}

}  // namespace graft
