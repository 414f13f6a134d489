// What a path on this machine holds, for those who just built a kernel.
#pragma once

#include <filesystem>
#include <string>

#include "graft/host_platform.h"
#include "graft/variant.h"

namespace graft {

struct LocalPackage {
  std::filesystem::path library;  // empty: no variant fits
  std::string variant;            // the folder's name below build/; else empty
  VariantChoice variants;
};

/// `path` is a repo (with build/<variant>/), a variant folder or any other with one .so at its top, or a .so.
/// Throws Error(not_found) that says what was looked for, Error(corrupt) if there are two libraries.
LocalPackage find_local_package(const std::filesystem::path& path, const HostPlatform& host,
                                const std::string& device);

}  // namespace graft
