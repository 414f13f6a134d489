// A Sigstore bundle's parts, as they stand in its JSON: read, not yet believed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encoding.h"
#include "keys.h"

namespace graft::sigstore {

inline constexpr std::size_t kMaxBundleBytes = std::size_t{16} << 20;

/// Where the entry stands in a log's Merkle tree (RFC 6962), and the log's signed note about that tree.
struct InclusionProof {
  std::int64_t log_index = 0, tree_size = 0;
  Bytes root_hash;
  std::vector<Bytes> hashes;
  std::string checkpoint;  // "": none
};

struct LogEntry {
  std::int64_t log_index = 0;  // of the whole log; Rekor v1's proofs count from the start of a shard
  Bytes log_id;
  std::string kind, version;
  std::int64_t integrated_time = 0;  // Unix seconds; 0: none (Rekor v2)
  Bytes promise;                     // the signed entry timestamp; empty: none
  std::optional<InclusionProof> proof;
  Bytes body;
};

struct Envelope {
  std::string payload_type;
  Bytes payload;
  Bytes signature;
};

struct MessageSignature {
  std::string digest_algorithm;  // "": the bundle does not repeat the digest
  Bytes digest;
  Bytes signature;
};

struct Bundle {
  int version = 0;      // of 0.1 … 0.3: the last number
  X509Ptr certificate;  // nullptr: signed with a key that the bundle does not hold
  std::vector<LogEntry> entries;
  std::vector<Bytes> timestamps;  // RFC 3161 responses in DER
  // One of the two.
  std::optional<MessageSignature> message;
  std::optional<Envelope> envelope;

  const Bytes& signature() const { return message ? message->signature : envelope->signature; }
};

/// Errors: corrupt, unsupported (a newer format), untrusted (a root certificate that the bundle brings
/// itself).
Bundle parse_bundle(std::string_view json);

}  // namespace graft::sigstore
