#include "rekor.h"

#include <bit>

#include "graft/hash.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

constexpr std::size_t kHashSize = 32;

Bytes leaf_hash(ByteView body) {
  Bytes input{0};
  input.insert(input.end(), body.begin(), body.end());
  return digest(Hash::sha256, input);
}

Bytes node_hash(ByteView left, ByteView right) {
  Bytes input{1};
  input.insert(input.end(), left.begin(), left.end());
  input.insert(input.end(), right.begin(), right.end());
  return digest(Hash::sha256, input);
}

/// A signed note's text and the signatures below it (C2SP's signed-note).
struct Note {
  struct Signature {
    std::string_view name;
    Bytes key_hint, signature;
  };
  std::string_view text;
  std::vector<Signature> signatures;
};

std::string_view take_line(std::string_view& text, const char* what) {
  const std::size_t end = text.find('\n');
  if (end == text.npos || end == 0) corrupt(std::string("the log's checkpoint has no ") + what);
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

Note parse_note(std::string_view envelope) {
  const std::size_t blank = envelope.find("\n\n");
  if (blank == envelope.npos || envelope.find("\n\n", blank + 1) != envelope.npos)
    corrupt("the log's checkpoint does not have one blank line");
  Note note;
  note.text = envelope.substr(0, blank + 1);
  std::string_view rest = envelope.substr(blank + 2);
  while (!rest.empty()) {
    std::string_view line = take_line(rest, "whole signature line");
    constexpr std::string_view dash = "\u2014 ";
    const std::size_t space = line.rfind(' ');
    if (!line.starts_with(dash) || space < dash.size() + 1)
      corrupt("the log's checkpoint has a malformed signature line");
    auto bytes = decode_base64(line.substr(space + 1));
    if (!bytes || bytes->size() < 5) corrupt("the log's checkpoint has a malformed signature");
    note.signatures.push_back({line.substr(dash.size(), space - dash.size()),
                               Bytes(bytes->begin(), bytes->begin() + 4),
                               Bytes(bytes->begin() + 4, bytes->end())});
    if (note.signatures.size() > 64) corrupt("the log's checkpoint has more than 64 signatures");
  }
  return note;
}

void verify_promise(const LogEntry& entry, const Log& log) {
  if (!log.verifies(view(promise_text(entry)), entry.promise))
    refuse("the log's promise (its signed entry timestamp) is not signed by the log's key");
}

/// Of the logs with the entry's id, the one trusted at the time that the log has signed, if it has.
const Log& log_of(const LogEntry& entry, const TrustedRoot::Data& root) {
  const Log* known = nullptr;
  for (const Log& log : root.logs) {
    if (!equal(log.id, entry.log_id)) continue;
    known = &log;
    if (entry.promise.empty() || log.valid.contains(entry.integrated_time * 1000)) return log;
  }
  if (!known)
    refuse("it is in a transparency log that the trusted root does not know",
           "check that the trusted root is of the Sigstore instance that signed");
  refuse("it was logged at " + time_text(entry.integrated_time) +
         ", when the trusted root did not trust the log's key");
}

}  // namespace

void verify_inclusion(const InclusionProof& proof, ByteView body) {
  if (proof.log_index >= proof.tree_size)
    refuse("its inclusion proof is for entry " + std::to_string(proof.log_index) + " of a log with " +
           std::to_string(proof.tree_size));
  if (proof.root_hash.size() != kHashSize) corrupt("its inclusion proof's root hash is not of 32 bytes");
  // Below the level where the entry's way up meets that of the log's last entry, neighbours stand on either
  // side; above it, on the left alone.
  const auto index = static_cast<std::uint64_t>(proof.log_index);
  const auto last = static_cast<std::uint64_t>(proof.tree_size) - 1;
  const auto inner = static_cast<std::size_t>(std::bit_width(index ^ last));
  const auto border = static_cast<std::size_t>(std::popcount(inner < 64 ? index >> inner : 0));
  if (proof.hashes.size() != inner + border)
    refuse("its inclusion proof has " + std::to_string(proof.hashes.size()) + " hashes instead of " +
           std::to_string(inner + border));
  Bytes hash = leaf_hash(body);
  for (std::size_t i = 0; i < proof.hashes.size(); ++i) {
    if (proof.hashes[i].size() != kHashSize)
      corrupt("its inclusion proof has a hash that is not of 32 bytes");
    const bool is_left = i < inner && (index >> i & 1) == 0;
    hash = is_left ? node_hash(hash, proof.hashes[i]) : node_hash(proof.hashes[i], hash);
  }
  if (!equal(hash, proof.root_hash)) refuse("its inclusion proof does not lead to the log's root hash");
}

void verify_checkpoint(const InclusionProof& proof, const Log& log) {
  const Note note = parse_note(proof.checkpoint);
  std::string_view rest = note.text;
  const std::string_view origin = take_line(rest, "origin");
  const auto size = decode_decimal(take_line(rest, "tree size"));
  const auto root_hash = decode_base64(take_line(rest, "root hash"));
  if (!size || !root_hash || root_hash->size() != kHashSize) corrupt("the log's checkpoint is malformed");
  const ByteView hint(log.checkpoint_id.data(), 4);
  bool is_signed = false;
  for (const Note::Signature& signature : note.signatures) {
    // Others by the same name or by witnesses may stand beside the log's own; their keys are not the root's.
    if (!equal(signature.key_hint, hint)) continue;
    const bool is_named = origin == signature.name || origin.starts_with(std::string(signature.name) + " - ");
    if (!is_named || !log.verifies(view(note.text), signature.signature))
      refuse("the log's checkpoint is not signed by the log's key");
    is_signed = true;
  }
  if (!is_signed) refuse("the log's checkpoint has no signature by the log's key");
  if (*size != proof.tree_size || !equal(*root_hash, proof.root_hash))
    refuse("the log's checkpoint is of another tree than the inclusion proof");
}

std::string promise_text(const LogEntry& entry) {
  return "{\"body\":\"" + to_base64(entry.body) +
         "\",\"integratedTime\":" + std::to_string(entry.integrated_time) + ",\"logID\":\"" +
         to_hex(entry.log_id) + "\",\"logIndex\":" + std::to_string(entry.log_index) + '}';
}

ProvenEntry verify_entry(const LogEntry& entry, int bundle_version, const TrustedRoot::Data& root) {
  if (!entry.promise.empty() && !entry.integrated_time) refuse("its log promises an entry without saying when");
  const Log& log = log_of(entry, root);
  if (!log.scheme)
    throw Error(ErrorCode::unsupported, "Sigstore bundle",
                "its log's key is of a kind that Graft does not verify",
                "have the file signed with another log");
  ProvenEntry proven{&entry, &log, 0, {}};
  if (entry.proof) {
    verify_inclusion(*entry.proof, entry.body);
    // Version 0.1 knew proofs without a checkpoint; they prove nothing, and its promise must.
    if (!entry.proof->checkpoint.empty()) verify_checkpoint(*entry.proof, log);
    proven.log_index = entry.proof->log_index;
  }
  if (!entry.promise.empty()) {
    verify_promise(entry, log);
    proven.log_index = entry.log_index;
    proven.integrated_time = entry.integrated_time;
  }
  if (bundle_version == 1 && entry.promise.empty())
    refuse("it has no promise (signed entry timestamp) of the log", "have the file signed again");
  if (bundle_version > 1 && (!entry.proof || entry.proof->checkpoint.empty()))
    refuse("it has no inclusion proof with a checkpoint of the log", "have the file signed again");
  if (entry.version == "0.0.2" && entry.kind != "intoto" && entry.log_index != proven.log_index)
    refuse("its log index is not the one that its inclusion proof is for");
  return proven;
}

}  // namespace graft::sigstore
