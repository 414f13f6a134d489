#include "graft/thread_pool.h"
#include "plugin_host.h"

namespace graft {

std::uint32_t host_threads::count() {
  return static_cast<std::uint32_t>(ThreadPool::shared().size());
}

void host_threads::parallel_for(std::int64_t count, std::int64_t grain, graft_parallel_body body,
                                void* data) {
  ThreadPool::shared().parallel_for(count, grain, body, data);
}

}  // namespace graft
