// Route: what a request's address asks for.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/hub.h"

namespace graft::server {

enum class Endpoint { refs, info, tree, resolve, none };

/// A target such as "/api/kernels/org/norm/tree/feature%2Fx/build?recursive=true", taken apart.
struct Route {
  Endpoint endpoint = Endpoint::none;
  RepoId repo;
  std::vector<std::string> rest;  // what follows "tree", "resolve" or "revision": {"feature/x", "build"}
  std::map<std::string, std::string> query;

  std::vector<std::string> raw;  // the path's pieces as sent, and where the repo's two begin in them
  std::size_t repo_at = 0;
  std::string raw_query;  // without "?"

  /// The path with another repo's name in the place of this one's.
  std::string path_for(const std::string& other_repo) const;
};

/// Throws Error(invalid_argument) for an address that is none: a malformed escape, a repo's name that is
/// none. One that is well-formed but means nothing here has Endpoint::none.
Route parse_route(std::string_view target);

/// "%2F" → "/"; nothing for a malformed escape.
std::optional<std::string> percent_decode(std::string_view text);

/// All but letters, digits, '-', '.', '_', '~' and the bytes of `keep` as %XX.
std::string percent_encode(std::string_view text, std::string_view keep);

/// The pieces with slashes between them.
std::string join_path(std::vector<std::string>::const_iterator begin,
                      std::vector<std::string>::const_iterator end);

/// The two names of a kind: in the API's addresses and in the Hub's folder.
const char* kind_folder(RepoKind kind);

}  // namespace graft::server
