// Names of dtypes: torch's.
#pragma once

#include <string>
#include <string_view>

#include "graft/abi/tensor.h"

namespace graft {

/// "float32", "bfloat16", "int64", "bool", "float8_e4m3fn" …; "dtype(code 3, 7 bits)" for one without a name.
std::string dtype_name(graft_dtype dtype);

/// bits 0 for a name it does not know.
graft_dtype dtype_from_name(std::string_view name);

inline bool same_dtype(graft_dtype a, graft_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

}  // namespace graft
