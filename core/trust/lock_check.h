// A fetched variant held against its line in the lock file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/hub.h"
#include "graft/lock_file.h"

namespace graft {

/// "sha256:<hex>" of some bytes.
std::string sha256_of(const std::string& bytes);

/// What older kernels.lock files say of a variant: "sha256-<hex>" over each file's path and the hash by which Git or its LFS
/// knows it, in order of path. Reads every file below `folder`. `files`: the variant's, as its Hub lists them, by their paths
/// in the repo; they say which are LFS files, and where a Hub does not (a folder), *.so and 10 MB do.
std::string git_lfs_concat(const std::filesystem::path& folder, const std::string& variant, const std::vector<HubFile>& files);

/// Holds `variant`, fetched into `folder`, whose library has this `digest`, against the lock. Throws Error(untrusted) if it is
/// not in it, or other bytes than it says.
void check_locked(const LockedKernel& locked, const std::string& variant, const std::filesystem::path& folder,
                  const std::vector<HubFile>& files, const std::string& digest);

}  // namespace graft
