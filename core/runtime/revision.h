// Which commit a reference's revision stands for.
#pragma once

#include <string>

#include "graft/hub.h"

namespace graft {

/// Empty: the highest version among tags and version branches ("v1"), else branch main. A range: the highest
/// version in it. A number: HF kernels' version branch ("2": v2). Else a tag, a branch or a commit, in that order. Tags win over branches of the same
/// version. Throws Error(revision_not_found) that lists what there is; `what` begins
/// its message. Pure.
Revision resolve_revision(const Refs& refs, const std::string& revision, const std::string& what);

}  // namespace graft
