// What a trusted root holds, parsed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graft/sigstore.h"
#include "keys.h"

namespace graft::sigstore {

/// Closed at both ends, as protobuf-specs' TimeRange is.
struct TimeRange {
  std::int64_t start = 0;           // Unix milliseconds
  std::optional<std::int64_t> end;  // absent: open

  bool contains(std::int64_t milliseconds) const {
    return milliseconds >= start && (!end || milliseconds <= *end);
  }
};

/// A transparency log, or a certificate log.
struct Log {
  std::string base_url;
  Bytes id, checkpoint_id;  // the second: of the keys in signed notes
  KeyPtr key;
  const Scheme* scheme = nullptr;  // nullptr: a kind of key that Graft does not verify
  TimeRange valid;

  bool verifies(ByteView message, ByteView signature) const {
    return scheme && verify_message(*scheme, key.get(), message, signature);
  }
};

struct CertificateAuthority {
  std::string uri;
  std::vector<X509Ptr> chain;  // from the one that issues (or the timestamps' signer) up to the root
  TimeRange valid;
};

}  // namespace graft::sigstore

namespace graft {

struct TrustedRoot::Data {
  std::vector<sigstore::Log> logs, certificate_logs;
  std::vector<sigstore::CertificateAuthority> certificate_authorities, timestamp_authorities;
};

}  // namespace graft
