#include "metadata.h"

#include "graft/error.h"
#include "graft/hub.h"
#include "json_text.h"

namespace graft {

Metadata parse_metadata(std::string_view text) {
  const std::string source = "metadata.json";
  if (text.size() > kMaxMetadataBytes) throw Error(ErrorCode::corrupt, source, "is larger than 4 MiB");
  // Other readers of the same signed bytes may take the first of two equal keys.
  const detail::Json json = detail::parse_object(text, source, detail::DuplicateKeys::refused);
  detail::Fields root(json, source);
  Metadata metadata;
  metadata.name = root.optional_text("name").value_or("");
  if (!root.has("digest")) return metadata;

  detail::Fields digest = root.object("digest");
  detail::Fields files = digest.object("files");
  metadata.algorithm = digest.text("algorithm");
  if (metadata.algorithm != "sha256" && metadata.algorithm != "sha512")
    throw Error(ErrorCode::unsupported, "metadata.json",
                "its digest algorithm \"" + metadata.algorithm + "\" is unknown to this Graft",
                "pack the kernel with sha256 or sha512");
  for (const auto& [path, hash] : files.items()) {
    if (!hash.is_string()) files.fail(path, "is no string");
    if (path.empty()) files.fail(path, "is an empty path");
    try {
      check_inside(path);
    } catch (const Error& e) {
      files.fail(path, e.why());
    }
    metadata.files.emplace(path, hash.get<std::string>());
  }
  return metadata;
}

}  // namespace graft
