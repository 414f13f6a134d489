// A folder as the tree of files that it holds, safe against links that lead out of it.
#pragma once

#include <filesystem>
#include <vector>

#include "graft/hub.h"

namespace graft {

/// The regular files below `folder`, by their paths relative to it, sorted; .git is left out. Links to files
/// inside `boundary` count as files. Throws Error: corrupt for a link to a folder or out of `boundary`, for
/// devices, sockets and fifos; io.
std::vector<HubFile> list_tree(const std::filesystem::path& folder, const std::filesystem::path& boundary);

/// Throws Error(corrupt) unless `path`, all links resolved, lies in `boundary`.
void check_within(const std::filesystem::path& path, const std::filesystem::path& boundary);

}  // namespace graft
