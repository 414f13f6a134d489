// metadata.json of a variant: what its publisher says is in the folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

inline constexpr std::size_t kMaxMetadataBytes = 4 << 20;

/// Another kernel that one cannot do without: its version branch (HF kernels' version=2), or else a revision.
struct KernelDependency {
  std::string repo;                     // "org/name"
  std::optional<std::int64_t> version;  // 2
  std::string revision;                 // "v1.2.0", a branch or a commit; empty if there is a version

  /// As a reference's revision: "2", "v1.2.0".
  std::string asked() const { return version ? std::to_string(*version) : revision; }
  auto operator<=>(const KernelDependency&) const = default;
};

/// metadata.json as HF kernels 0.17 defines it; other fields pass unread. What is absent is empty.
struct Metadata {
  std::string id, name;                  // "org/norm", "norm"
  std::optional<std::int64_t> version;   // the version branch's number
  std::string license, upstream, source;
  std::vector<std::string> python_depends;
  std::vector<KernelDependency> kernel_depends;
  std::string kernels_minver;            // the least HF kernels that reads this: "0.17.2"
  std::string backend;                   // "cuda"
  std::vector<std::string> archs;        // "9.0", "gfx90a"
  std::string source_commit;             // of the sources it was built from
  bool dirty = false;                    // built from sources, or by a kernel-builder, with changes that no commit holds

  std::string algorithm;                     // "sha256" or "sha512"; empty: there is no digest
  std::map<std::string, std::string> files;  // path in the variant → base64 of its hash
};

/// Reads untrusted bytes: at most kMaxMetadataBytes, nested 32 deep, UTF-8, no key twice in an object, paths
/// that stay inside, names of repos. Throws Error(corrupt), Error(unsupported) for another digest algorithm. Pure.
Metadata parse_metadata(std::string_view text);

}  // namespace graft
