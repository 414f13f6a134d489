// A transparency log's proofs that it holds an entry: inclusion proof with checkpoint, and signed entry
// timestamp.
#pragma once

#include "bundle.h"
#include "trusted_root.h"

namespace graft::sigstore {

/// The entry, proven to stand in a log that the trusted root knows.
struct ProvenEntry {
  const LogEntry* entry = nullptr;
  const Log* log = nullptr;
  std::int64_t log_index = 0;                   // as signed by the log
  std::optional<std::int64_t> integrated_time;  // if the log has signed it
};

/// Every proof that the entry brings, and those that the bundle's version asks for. Errors: untrusted,
/// corrupt.
ProvenEntry verify_entry(const LogEntry& entry, int bundle_version, const TrustedRoot::Data& root);

/// RFC 9162, 2.1.3.2. Errors: untrusted.
void verify_inclusion(const InclusionProof& proof, ByteView body);

/// The signed note about the tree that the proof leads to. Errors: untrusted, corrupt.
void verify_checkpoint(const InclusionProof& proof, const Log& log);

/// What a log signs as its promise: JSON in RFC 8785's form.
std::string promise_text(const LogEntry& entry);

}  // namespace graft::sigstore
