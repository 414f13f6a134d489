// Which commit a reference's revision stands for.
#pragma once

#include <string>

#include "graft/hub.h"

namespace graft {

struct ResolvedRevision {
  std::string name;  // the tag or branch: "v1.2.0"; the commit itself if that was asked for
  std::string commit;
};

/// Empty: the highest version among tags and version branches ("v1"), else branch main. A range: the highest
/// version in it. Else a tag, a branch or a commit, in that order. Tags win over branches of the same
/// version. Throws Error(not_found) that lists what there is. Pure.
ResolvedRevision resolve_revision(const Refs& refs, const std::string& revision, const std::string& repo);

}  // namespace graft
