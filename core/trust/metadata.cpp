#include "graft/metadata.h"

#include "dependency.h"
#include "graft/error.h"
#include "graft/hub.h"

namespace graft {

namespace {

using detail::Fields;

std::vector<std::string> texts(const Fields& object, const char* key) {
  std::vector<std::string> list;
  if (!object.has(key)) return list;
  for (const detail::Json& item : object.array(key)) {
    if (!item.is_string()) object.fail(key, "holds what is no text");
    list.push_back(item.get<std::string>());
  }
  return list;
}

void read_provenance(const Fields& provenance, Metadata& metadata) {
  for (const char* part : {"kernel", "kernel-builder"}) {
    if (!provenance.has(part)) continue;
    const Fields git = provenance.object(part);
    metadata.dirty |= git.boolean("dirty", false);
    if (std::string_view(part) == "kernel")
      metadata.source_commit = git.optional_text("commit").value_or(git.optional_text("sha").value_or(""));
  }
}

void read_digest(const Fields& digest, Metadata& metadata) {
  const Fields files = digest.object("files");
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
}

}  // namespace

KernelDependency parse_dependency(const Fields& object) {
  for (const auto& [key, value] : object.items())
    if (key != "repo-id" && key != "version" && key != "revision") object.fail(key, "is no field of a dependency");
  KernelDependency dependency;
  dependency.repo = object.text("repo-id");
  dependency.version = object.integer("version");
  dependency.revision = object.optional_text("revision").value_or("");
  if (dependency.version.has_value() == object.has("revision")) object.fail("version", "or \"revision\" must be there, and not both");
  if (dependency.version && *dependency.version < 0) object.fail("version", "is negative");
  try {
    check_repo_name(dependency.repo);
    if (!dependency.version) check_inside(dependency.revision);
  } catch (const Error& e) {
    object.fail("repo-id", e.failed() + ": " + e.why());
  }
  if (!dependency.version && dependency.revision.empty()) object.fail("revision", "is empty");
  return dependency;
}

Metadata parse_metadata(std::string_view text) {
  const std::string source = "metadata.json";
  if (text.size() > kMaxMetadataBytes) throw Error(ErrorCode::corrupt, source, "is larger than 4 MiB");
  // Other readers of the same signed bytes may take the first of two equal keys.
  const detail::Json json = detail::parse_object(text, source, detail::DuplicateKeys::refused);
  const Fields root(json, source);
  Metadata metadata;
  metadata.id = root.optional_text("id").value_or("");
  metadata.name = root.optional_text("name").value_or("");
  metadata.version = root.integer("version");
  metadata.license = root.optional_text("license").value_or("");
  metadata.upstream = root.optional_text("upstream").value_or("");
  metadata.source = root.optional_text("source").value_or("");
  metadata.python_depends = texts(root, "python-depends");
  metadata.kernels_minver = root.optional_text("kernels-minver").value_or("");
  if (root.has("kernel-depends"))
    for (const detail::Json& item : root.array("kernel-depends")) {
      if (!item.is_object()) root.fail("kernel-depends", "holds what is no object");
      metadata.kernel_depends.push_back(parse_dependency(Fields(item, source + ", \"kernel-depends\"")));
    }
  if (root.has("backend")) {
    metadata.backend = root.object("backend").optional_text("type").value_or("");
    metadata.archs = texts(root.object("backend"), "archs");
  }
  if (root.has("provenance")) read_provenance(root.object("provenance"), metadata);
  if (root.has("digest")) read_digest(root.object("digest"), metadata);
  return metadata;
}

}  // namespace graft
