// The probe lends a plugin no threads: it is confined, and gone in a moment.
#include "plugin_host.h"

namespace graft {

std::uint32_t host_threads::count() {
  return 1;
}

void host_threads::parallel_for(std::int64_t count, std::int64_t, graft_parallel_body body, void* data) {
  if (count > 0) body(data, 0, count, 0);
}

}  // namespace graft
