// Memory of weights that nobody needs for now, given back.
#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// Gives back what of a weight's memory the system can fetch again: whole pages that lie in a file's mapping and were not
/// written, such as those of a model's float32 weights once a kernel has packed its own. The tensor stays what it was; a look
/// at it reads the pages from the file again (or its cache in memory). Anything else is left alone: pages that were written,
/// memory of no file, other devices, the rest of the first and last page. Returns the bytes that were given back.
/// Thread-safe, also beside readers; not beside one who writes to the weight, whose write could be lost.
size_t release_pages(const at::Tensor& weight);

}  // namespace graft
