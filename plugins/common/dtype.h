// From the dtype of a call to a C++ type.
#pragma once

#include <graft/plugin.hpp>

#include "simd.h"

namespace graft {

// body(T{}) with T = float or bf16.
template <class Body>
void with_dtype(graft_dtype dtype, const Body& body) {
  if (plugin::same(dtype, plugin::float32)) return body(float{});
  if (plugin::same(dtype, plugin::bfloat16)) return body(simd::bf16{});
  throw plugin::Unsupported("dtype is neither float32 nor bfloat16");
}

}  // namespace graft
