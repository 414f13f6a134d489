// metadata.json of a variant: what its publisher says is in the folder.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace graft {

inline constexpr std::size_t kMaxMetadataBytes = 4 << 20;

/// The part of metadata.json that Graft acts on; HF kernels' other fields (id, license, backend …) pass
/// unread.
struct Metadata {
  std::string name;                          // "norm"; may be empty
  std::string algorithm;                     // "sha256" or "sha512"; empty: there is no digest
  std::map<std::string, std::string> files;  // path in the variant → base64 of its hash
};

/// Reads untrusted bytes: at most kMaxMetadataBytes, nested 32 deep, UTF-8, no key twice in an object, paths
/// that stay inside. Throws Error(corrupt), Error(unsupported) for another digest algorithm. Pure.
Metadata parse_metadata(std::string_view text);

}  // namespace graft
