// From the dtype of a call to a C++ type.
#pragma once

#include <graft/plugin.hpp>

#include "simd.h"

namespace graft {

// body(T{}) with T = float, bf16 or double.
template <class Body>
void with_dtype(graft_dtype dtype, const Body& body) {
  if (plugin::same(dtype, plugin::float32)) return body(float{});
  if (plugin::same(dtype, plugin::bfloat16)) return body(simd::bf16{});
  if (plugin::same(dtype, plugin::float64)) return body(double{});
  throw plugin::Unsupported("dtype is none of float32, bfloat16 and float64");
}

// body(T{}) with T = float or bf16: what is computed in float.
template <class Body>
void with_float_dtype(graft_dtype dtype, const Body& body) {
  if (plugin::same(dtype, plugin::float32)) return body(float{});
  if (plugin::same(dtype, plugin::bfloat16)) return body(simd::bf16{});
  throw plugin::Unsupported("dtype is neither float32 nor bfloat16");
}

}  // namespace graft
