// One repo's folder in the cache, looked at anew.
#pragma once

#include <filesystem>

#include "graft/cache.h"

namespace graft {

/// `root`: the cache's folder, canonical. Throws Error(io) if a part of it cannot be read.
CachedRepo scan_repo(const std::filesystem::path& root, const RepoId& id,
                     const std::filesystem::path& folder);

}  // namespace graft
