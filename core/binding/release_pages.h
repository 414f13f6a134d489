// Memory that a file holds as well is given back once nobody reads it: it comes back by itself where somebody does.
#pragma once

#include <cstddef>

namespace graft {

/// Takes the pages within [data, data + bytes) out of this process's memory that are a file's and were not written to since
/// they were mapped: a checkpoint's weights. Reading them maps them again. All other pages stay, as do those that reach
/// beyond the range. Does nothing where the system does not tell such pages from others. Any thread; nobody may write to the range meanwhile.
void release_file_pages(const void* data, std::size_t bytes);

}  // namespace graft
