// Policy: whose kernels may run here, and who signs for them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Who may sign a publisher's kernels: a key of Policy::keys by its name, or an identity that a Sigstore certificate
/// names. Of an identity, issuer and either subject or subject_pattern are needed; empty fields are not asked for.
struct SignerRule {
  std::string key = {};                // "graft-kernels-2026"; the other fields are empty then
  std::string issuer = {};             // "https://token.actions.githubusercontent.com"
  std::string subject = {};            // the certificate's subject alternative name, exactly
  std::string subject_pattern = {};    // the same, with * for any bytes
  std::string source_repository = {};  // "https://github.com/org/repo"
  std::string build_signer = {};       // the workflow that built it, as its URI
};

/// A publisher ("org" of "org/name") that is trusted.
struct PublisherRule {
  std::vector<SignerRule> signers;  // none: nobody is asked for, and an unsigned kernel loads with a warning
};

/// An Ed25519 key. Two keys of one publisher whose times overlap make a rotation.
struct PolicyKey {
  std::string public_key;                       // SubjectPublicKeyInfo in PEM
  std::string not_before = {}, not_after = {};  // "2026-01-31", both inclusive, in UTC; empty: unbounded
  bool revoked = false;
};

enum class RequireSignature {
  always,        // of every kernel from a Hub, by a signer that the policy names
  trusted_only,  // of those of trusted publishers; others, admitted by allow_all_kernels, may be unsigned
  warn,          // of none but those whose publisher's rule names signers
};

/// Immutable once made; thread-safe.
struct Policy {
  std::map<std::string, PublisherRule> trusted_publishers = default_publishers();
  std::map<std::string, PolicyKey> keys = default_keys();
  RequireSignature require_signature = RequireSignature::warn;
  std::set<std::string> denied_repos;    // "org/name", or "org/*"
  std::set<std::string> denied_commits;  // 40 hex digits
  std::set<std::string> denied_digests;  // "sha256:<hex>" of a library
  bool local_kernels = true;             // whether a path may be loaded at all
  bool allow_all_kernels = false;        // admits publishers that are not named; never a wrong digest or signature
  bool probe = true;                     // the first load of a digest on this machine happens in graft-probe
  bool self_check = true;                // a kernel whose results differ from its layer's own is not bound
  bool remember_versions = true;         // an older version than one seen, or a tag with other bytes, is refused
  std::vector<std::string> sources;      // the files that made it, in order; the defaults go without saying

  /// `kernels-community`, and `graft-kernels` by the key that this build of Graft signs its own kernels with.
  static std::map<std::string, PublisherRule> default_publishers();
  static std::map<std::string, PolicyKey> default_keys();

  /// The defaults, then /etc/graft/policy.json, then $XDG_CONFIG_HOME/graft/policy.json (~/.config/…): what a later one
  /// says replaces what an earlier one said, publisher by publisher and key by key (null takes one away); deny lists add up. A file that is
  /// not there is passed over; one that cannot be read or does not parse is an Error, never passed over.
  static Policy load();

  /// `base` with what the JSON says. Throws Error(corrupt), with `source` and the field named: malformed, a field that
  /// the schema (policy.schema.json) does not know, a key that is none, a signer whose key is not there.
  static Policy parse(std::string_view json, const std::string& source, Policy base);

  /// parse() of a file. Throws Error(io), Error(not_found) too.
  static Policy read(const std::filesystem::path& file, Policy base);

  /// As the file of the whole would say it.
  std::string json() const;
};

/// Where load() looks, in its order.
std::vector<std::filesystem::path> policy_files();

/// The user's folder of configuration, $XDG_CONFIG_HOME/graft or ~/.config/graft; empty if the environment names none.
std::filesystem::path config_folder();

}  // namespace graft
