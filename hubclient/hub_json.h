// The JSON of a Hub: its API's answers, and huggingface_hub's list of a commit's files in the cache.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graft/hub.h"

namespace graft {

// All throw Error(corrupt) for what is no such JSON, and for names that would lead out of a folder, with
// `source` named; none trusts a size, a commit or a hash to be one.

/// GET /api/{kernels,models}/{id}/refs
Refs parse_refs(std::string_view json, const std::string& source);

/// GET /api/{kernels,models}/{id}/revision/{rev}
RepoInfo parse_info(std::string_view json, const std::string& source);

/// The files of one page of GET /api/{kernels,models}/{id}/tree/{rev}; folders are left out.
std::vector<HubFile> parse_tree_page(std::string_view json, const std::string& source);

/// trees/<commit>.json of huggingface_hub 1.33, format_version 1; sorted by path.
std::string format_tree_cache(const std::vector<HubFile>& files);
std::vector<HubFile> parse_tree_cache(std::string_view json, const std::string& source);

/// So many lower-case hex digits.
bool is_hex(std::string_view text, std::size_t digits);

}  // namespace graft
