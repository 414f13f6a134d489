// Phases: work of several steps in one region of the host's threads, which costs some hundred nanoseconds a
// step where a parallel_for of its own for each would cost microseconds.
#pragma once

#include <atomic>
#include <graft/plugin.hpp>
#include <thread>

namespace graft {

inline void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// body(phase, task, worker) for tasks [0, tasks[phase]) of each phase; those of a phase begin when all of the
// one before have ended. Threads take tasks in their order, and one waits for others' alone that are at work
// on them: so it ends also where the host runs a single thread, or has one come late. A thread that waits to
// begin a task runs meanwhile(phase, task, i) for i = 0, 1, 2 …, some nanoseconds each: what lies in memory
// for the task can be fetched. Neither may throw.
template <size_t N, class Body, class Meanwhile>
void for_phases(const plugin::Call& call, const int64_t (&tasks)[N], const Body& body,
                const Meanwhile& meanwhile) {
  struct alignas(64) Counter {
    std::atomic<int64_t> value = 0;
  } taken, done;
  int64_t ends[N];
  for (size_t phase = 0; phase < N; ++phase) ends[phase] = (phase == 0 ? 0 : ends[phase - 1]) + tasks[phase];

  const auto wait_for = [&](int64_t count, size_t phase, int64_t task) {
    constexpr int kPauses = 4096;  // some 50 microseconds: more, and another thread may need this processor
    for (int i = 0; done.value.load(std::memory_order_acquire) < count; ++i) {
      if (i < kPauses)
        meanwhile(phase, task, i), pause_processor();
      else
        std::this_thread::yield();
    }
  };
  call.parallel_for(call.thread_count(), 1, [&](int64_t, int64_t, uint32_t worker) {
    size_t phase = 0;
    for (int64_t task; (task = taken.value.fetch_add(1, std::memory_order_relaxed)) < ends[N - 1];) {
      while (task >= ends[phase]) ++phase;
      const int64_t first = phase == 0 ? 0 : ends[phase - 1];
      wait_for(first, phase, task - first);
      body(phase, task - first, worker);
      done.value.fetch_add(1, std::memory_order_release);
    }
  });
}

}  // namespace graft
