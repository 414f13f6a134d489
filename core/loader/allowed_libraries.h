// Which libraries a plugin may be linked to.
#pragma once

#include <string_view>

namespace graft {

/// Whose rules a plugin goes by: Graft's own variants ("graft1-…"), or those of other families of kernels
/// ("torch211-cxx11-…"), which bring libraries that Graft's ABI does without.
enum class ElfFamily { graft, other };

/// Whether a plugin of that family for that device ("cpu", "cuda", "cuda:1", …) may need `library`
/// ("libm.so.6"). Pure.
bool is_allowed_library(std::string_view library, ElfFamily family, std::string_view device);

}  // namespace graft
