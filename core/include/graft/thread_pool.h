// ThreadPool: the host's threads, which plugins use through graft_call.parallel_for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "graft/abi/call.h"

namespace graft {

/// Fork-join of one caller and size()-1 workers. Workers spin for about 50 µs after their last job, then
/// sleep. Allocates nothing per call.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 starts none. At least 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();  // no parallel_for may be running
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The process's own, of default_thread_count() threads; never destroyed, since plugins outlive static
  /// objects.
  static ThreadPool& shared();

  int size() const;

  /// Runs `body` on ranges of about `grain` or more, as graft_call.parallel_for says, that cover [0, count)
  /// once; returns when all are done. A thread begins with the same indices in each job of `count`, and then
  /// helps others with theirs. Any thread may call; while another caller holds the workers, or from within a
  /// body, it runs inline. `worker` < size() differs between bodies that run at once for this call. `body`
  /// must not throw.
  void parallel_for(std::int64_t count, std::int64_t grain, graft_parallel_body body, void* data);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// GRAFT_NUM_THREADS if it is a number >= 1; else the fewer of this process's CPUs (affinity) and its
/// cgroup's quota.
int default_thread_count();

/// A graft_call on the CPU whose parallel_for is the pool's. The pool is found again from the call's address,
/// so pass
/// `&cpu_call.call` to the plugin and keep the object until the call returns.
struct CpuCall {
  graft_call call;
  ThreadPool* pool;
};
CpuCall make_cpu_call(ThreadPool& pool, void* workspace, std::size_t workspace_size);

}  // namespace graft
