// LOCAL_KERNELS: paths that stand in the place of repos, as in HF kernels.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "graft/kernel_ref.h"

namespace graft {

/// "org/name=/path:org/other=/path": whatever asks for such a repo gets what lies at the path, at any revision. A policy
/// without local_kernels refuses it like any path. A value.
class LocalOverrides {
 public:
  /// Relative paths are taken from the working folder. Throws Error(invalid_argument) with a caret under the place.
  static LocalOverrides parse(std::string_view text);

  /// parse() of LOCAL_KERNELS; none if that is not set, or empty.
  static LocalOverrides from_environment();

  /// `ref`, or its path with its entry.
  KernelRef applied(const KernelRef& ref) const;

 private:
  std::map<std::string, std::filesystem::path> paths_;  // by repo
};

}  // namespace graft
