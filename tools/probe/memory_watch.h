// Notices memory that a plugin asked for beyond the limit.
#pragma once

namespace graft::probe {

/// From now on a malloc, calloc, realloc, aligned allocation or mmap of this process that fails for want of
/// memory is reported, once. Nothing else tells the limit from a plugin's own crash.
void watch_memory();

}  // namespace graft::probe
