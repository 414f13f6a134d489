// Signatures by Ed25519 keys over a variant's metadata.json, beside it in files of their own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

// Either form beside metadata.json; both stand outside the variant's digest.
inline constexpr const char* kDsseFile = "metadata.json.dsse";  // a DSSE envelope around its bytes, any number of keys
inline constexpr const char* kPlainFile = "metadata.json.sig";  // one signature over its bytes, in base64

/// DSSE (https://github.com/secure-systems-lab/dsse), payloadType application/vnd.graft.kernel-metadata+json.
std::string sign_dsse(std::string_view metadata, const std::vector<std::string>& private_keys);
std::string sign_plain(std::string_view metadata, const std::string& private_key);

/// The signatures that a file carries, not verified: what was signed, and by which key it says.
struct KeySignatures {
  std::string message;  // the bytes that the signatures are over
  std::vector<std::string> signatures;
};

/// Throws Error(corrupt) for what is malformed, or an envelope around other bytes than `metadata`.
KeySignatures parse_dsse(std::string_view envelope, std::string_view metadata);
KeySignatures parse_plain(std::string_view text, std::string_view metadata);

}  // namespace graft
