// Names of files that are not done yet.
#pragma once

#include <cstdio>
#include <random>
#include <string>

namespace graft {

/// Eight hex digits that no other process has.
inline std::string scratch_name() {
  std::random_device random;
  char text[9];
  std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(random()));
  return text;
}

}  // namespace graft
