#include "graft/dtype.h"

namespace graft {
namespace {

struct Name {
  std::string_view name;
  graft_dtype dtype;
};

constexpr Name kNames[] = {
    {"float32", {GRAFT_DTYPE_FLOAT, 32, 1}},
    {"bfloat16", {GRAFT_DTYPE_BFLOAT, 16, 1}},
    {"float16", {GRAFT_DTYPE_FLOAT, 16, 1}},
    {"float64", {GRAFT_DTYPE_FLOAT, 64, 1}},
    {"int64", {GRAFT_DTYPE_INT, 64, 1}},
    {"int32", {GRAFT_DTYPE_INT, 32, 1}},
    {"int16", {GRAFT_DTYPE_INT, 16, 1}},
    {"int8", {GRAFT_DTYPE_INT, 8, 1}},
    {"uint8", {GRAFT_DTYPE_UINT, 8, 1}},
    {"uint16", {GRAFT_DTYPE_UINT, 16, 1}},
    {"uint32", {GRAFT_DTYPE_UINT, 32, 1}},
    {"uint64", {GRAFT_DTYPE_UINT, 64, 1}},
    {"bool", {GRAFT_DTYPE_BOOL, 8, 1}},
    {"complex64", {GRAFT_DTYPE_COMPLEX, 64, 1}},
    {"complex128", {GRAFT_DTYPE_COMPLEX, 128, 1}},
    {"float8_e4m3fn", {GRAFT_DTYPE_FLOAT8_E4M3FN, 8, 1}},
    {"float8_e5m2", {GRAFT_DTYPE_FLOAT8_E5M2, 8, 1}},
    {"float8_e8m0fnu", {GRAFT_DTYPE_FLOAT8_E8M0FNU, 8, 1}},
    {"float4_e2m1fn_x2", {GRAFT_DTYPE_FLOAT4_E2M1FN, 4, 2}},
};

}  // namespace

std::string dtype_name(graft_dtype dtype) {
  for (const Name& known : kNames)
    if (same_dtype(known.dtype, dtype)) return std::string(known.name);
  return "dtype(code " + std::to_string(dtype.code) + ", " + std::to_string(dtype.bits) + " bits)";
}

graft_dtype dtype_from_name(std::string_view name) {
  for (const Name& known : kNames)
    if (known.name == name) return known.dtype;
  return {0, 0, 0};
}

}  // namespace graft
