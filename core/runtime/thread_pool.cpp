#include "graft/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace graft {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);  // about what a sleep and a wake-up cost together
constexpr int kPausesPerClock = 64;
// More chunks than threads, so that a thread that was late or interrupted leaves some of its own to the
// others.
constexpr std::int64_t kMostChunksPerThread = 4;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Whether this thread is within a body: a nested call runs inline.
thread_local bool in_body = false;

/// Spins until `done()` or for kSpin; whether it is done.
template <class Done>
bool spin(Done done) {
  auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

/// As many chunks for one thread as for another: with five for two threads, one would wait for a fifth of the time.
std::int64_t chunk_of(std::int64_t count, std::int64_t grain, std::int64_t threads) {
  std::int64_t chunks = (count + grain - 1) / grain;
  if (chunks > threads) chunks = std::min(chunks / threads, kMostChunksPerThread) * threads;
  return (count + chunks - 1) / chunks;
}

}  // namespace

// One job at a time. The caller writes it, opens the gate and works on it like any worker; a worker that
// wakes up too late finds the gate closed and never delays the caller.
struct ThreadPool::State {
  static constexpr std::uint32_t kOpen = 1u << 31, kCallerWaits = 1u << 30, kCount = kCallerWaits - 1;

  alignas(64) std::atomic<bool> busy = false;        // a caller owns the workers
  alignas(64) std::atomic<std::uint32_t> epoch = 0;  // grows with each job; workers sleep on it
  std::atomic<std::uint32_t> sleeping = 0;
  std::atomic<bool> stop = false;
  alignas(64) std::atomic<std::uint32_t> gate = 0;  // kOpen, kCallerWaits, and the number of workers inside

  // The job: written before the gate opens, read only inside.
  alignas(64) graft_parallel_body body = nullptr;
  void* data = nullptr;
  std::int64_t count = 0, chunk = 0;
  // For each thread how many of its chunks are taken: of 2 threads' the first one has those with even
  // numbers. Close together, since whoever opens a job writes all of them.
  std::vector<std::atomic<std::int32_t>> taken;

  std::vector<std::thread> workers;

  explicit State(int threads) : taken(static_cast<std::size_t>(std::max(threads, 1))) {}

  void set(graft_parallel_body its_body, void* its_data, std::int64_t its_count, std::int64_t grain) {
    body = its_body;
    data = its_data;
    count = its_count;
    chunk = chunk_of(count, grain, static_cast<std::int64_t>(taken.size()));
    for (std::atomic<std::int32_t>& each : taken) each.store(0, std::memory_order_relaxed);
  }

  /// Its own first, which are the same in the next job of as many indices: what it read and wrote there is in
  /// its caches still.
  void work(std::uint32_t worker) {
    in_body = true;
    const auto threads = static_cast<std::uint32_t>(taken.size());
    for (std::uint32_t i = 0; i < threads; ++i) take_chunks_of((worker + i) % threads, worker);
    in_body = false;
  }

  /// Chunks that are next to each other run at once, and find together what their indices share.
  void take_chunks_of(std::uint32_t owner, std::uint32_t worker) {
    const std::int64_t first = owner * chunk, step = static_cast<std::int64_t>(taken.size()) * chunk;
    std::atomic<std::int32_t>& its = taken[owner];
    while (first + its.load(std::memory_order_relaxed) * step < count) {
      const std::int64_t begin = first + its.fetch_add(1, std::memory_order_relaxed) * step;
      if (begin < count) body(data, begin, std::min(begin + chunk, count), worker);
    }
  }

  void join(std::uint32_t worker) {
    if (gate.fetch_add(1, std::memory_order_acquire) & kOpen) work(worker);
    std::uint32_t before = gate.fetch_sub(1, std::memory_order_release);
    if ((before & kCallerWaits) && (before & kCount) == 1) gate.notify_one();
  }

  void run_worker(std::uint32_t worker) {
    std::uint32_t seen = 0;
    for (;;) {
      auto changed = [&] { return epoch.load(std::memory_order_acquire) != seen; };
      if (!spin(changed)) {
        // The caller bumps the epoch, then looks at `sleeping`; the order of both is the same for all
        // threads.
        sleeping.fetch_add(1);
        epoch.wait(seen);
        sleeping.fetch_sub(1);
      }
      seen = epoch.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      join(worker);
    }
  }

  void wake() {
    epoch.fetch_add(1);
    if (sleeping.load() != 0) epoch.notify_all();
  }

  void close_and_wait() {
    gate.fetch_and(~kOpen, std::memory_order_acquire);
    auto empty = [&] { return (gate.load(std::memory_order_acquire) & kCount) == 0; };
    if (spin(empty)) return;
    for (std::uint32_t now = gate.fetch_or(kCallerWaits) | kCallerWaits; now & kCount;
         now = gate.load(std::memory_order_acquire))
      gate.wait(now);
    gate.fetch_and(~kCallerWaits);
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>(threads)) {
  for (int worker = 1; worker < threads; ++worker)
    state_->workers.emplace_back([this, worker] { state_->run_worker(static_cast<std::uint32_t>(worker)); });
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->wake();
  for (std::thread& worker : state_->workers) worker.join();
}

ThreadPool& ThreadPool::shared() {
  static auto& pool = *new ThreadPool(default_thread_count());
  return pool;
}

int ThreadPool::size() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain, graft_parallel_body body, void* data) {
  if (count <= 0) return;
  State& state = *state_;
  grain = std::max<std::int64_t>(grain, 1);
  bool alone = count <= grain || state.workers.empty() || in_body;
  if (alone || state.busy.exchange(true, std::memory_order_acquire)) return body(data, 0, count, 0);

  state.set(body, data, count, grain);
  state.gate.fetch_or(State::kOpen, std::memory_order_release);
  state.wake();
  state.work(0);
  state.close_and_wait();
  state.busy.store(false, std::memory_order_release);
}

CpuCall make_cpu_call(ThreadPool& pool, void* workspace, std::size_t workspace_size) {
  CpuCall made{};
  made.call.struct_size = sizeof(graft_call);
  made.call.device = {GRAFT_DEVICE_CPU, 0};
  made.call.workspace = workspace;
  made.call.workspace_size = workspace_size;
  made.call.thread_count = static_cast<std::uint32_t>(pool.size());
  made.call.parallel_for = [](const graft_call* call, std::int64_t count, std::int64_t grain,
                              graft_parallel_body body, void* data) {
    reinterpret_cast<const CpuCall*>(call)->pool->parallel_for(count, grain, body, data);
  };
  made.pool = &pool;
  return made;
}

}  // namespace graft
