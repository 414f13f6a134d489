#include "tensor_view.h"

#include "graft/dtype.h"
#include "graft/error.h"

namespace graft {

at::ScalarType to_torch(graft_dtype dtype) {
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kLong, at::kInt, at::kShort,
                              at::kChar, at::kByte, at::kBool, at::kComplexFloat, at::kComplexDouble,
                              at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    if (same_dtype(to_graft(type), dtype)) return type;
  }
  throw Error(ErrorCode::unsupported, "dtype " + dtype_name(dtype), "torch has no such dtype");
}

}  // namespace graft
