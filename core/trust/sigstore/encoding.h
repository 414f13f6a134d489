// Bytes and texts that Sigstore's files are made of: base64, hex, RFC 3339 times, hashes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graft::sigstore {

using Bytes = std::vector<unsigned char>;
using ByteView = std::span<const unsigned char>;

inline ByteView view(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}
inline std::string_view text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
bool equal(ByteView a, ByteView b);

/// As protobuf's JSON has it: both alphabets, padding optional, line breaks skipped. nullopt: not base64.
std::optional<Bytes> decode_base64(std::string_view text);
/// Lower or upper case. nullopt: not hex.
std::optional<Bytes> decode_hex(std::string_view text);
/// Digits alone, without leading zeros. nullopt: something else, or above int64's.
std::optional<std::int64_t> decode_decimal(std::string_view text);
/// "2025-09-23T00:00:00.5Z", "+01:00" instead of "Z": Unix milliseconds. nullopt: not RFC 3339.
std::optional<std::int64_t> decode_time(std::string_view text);
std::string time_text(std::int64_t unix_seconds);  // "2025-09-23T00:00:00Z"

enum class Hash { sha256, sha384, sha512 };
const char* name(Hash hash);                            // "sha256"
std::optional<Hash> hash_named(std::string_view name);  // "sha256", "SHA2_256"
Bytes digest(Hash hash, ByteView message);

}  // namespace graft::sigstore
