// Names that a misspelt one may have meant.
#pragma once

#include <string>
#include <vector>

namespace graft {

/// "did you mean org/norm or org/norms?" of the nearest, "there are: …" if none is near and they are few;
/// empty if there are none.
std::string near_names(const std::string& wanted, const std::vector<std::string>& names);

}  // namespace graft
