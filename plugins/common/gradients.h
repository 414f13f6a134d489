// Gradients that go in and out of a backward. Of both, the last dimension is contiguous; other strides are
// free.
#pragma once

#include <graft/plugin.hpp>
#include <optional>

#include "rows.h"

namespace graft {

// Whether the gradient of input `index` is asked for.
inline bool needed(uint64_t needs, int index) {
  return (needs >> index & 1) != 0;
}

// The gradient of output `index`; nothing: it is zero.
template <class T>
std::optional<Rows<const T>> incoming(const plugin::Arguments& grad_outputs, int index) {
  if (!grad_outputs.has(index)) return std::nullopt;
  return Rows<const T>(grad_outputs.tensor(index));
}

// Where the gradient of input `index` goes; nothing: it is not asked for.
template <class T>
std::optional<Rows<T>> wanted(const plugin::Arguments& grad_inputs, uint64_t needs, int index) {
  if (!needed(needs, index)) return std::nullopt;
  return Rows<T>(grad_inputs.tensor(index));
}

// A zero gradient, if it is asked for.
template <class T>
void clear(const std::optional<Rows<T>>& rows) {
  if (!rows) return;
  for (int64_t row = 0; row < rows->count(); ++row)
    std::fill((*rows)[row], (*rows)[row] + rows->width(), T{});
}

}  // namespace graft
