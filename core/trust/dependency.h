// {"repo-id", and "version" or "revision"}, as metadata.json and kernels.lock write it.
#pragma once

#include "graft/metadata.h"
#include "json_text.h"

namespace graft {

/// Throws Error(corrupt), naming the object's source, for anything else, an unknown field too.
KernelDependency parse_dependency(const detail::Fields& object);

}  // namespace graft
