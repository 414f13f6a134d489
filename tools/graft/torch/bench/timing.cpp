#include "timing.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>

#include "graft/error.h"

namespace graft::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kBatchSeconds = 1e-3;
constexpr double kWarmSeconds = 0.05;
constexpr int kFewestRounds = 5;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds of processor time that all threads of this process took.
double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

/// LibTorch's threads (OpenMP) spin for some milliseconds after their work, on processors that the other
/// forward's threads then miss: waits until they sleep.
void wait_for_idle_threads() {
  constexpr auto kLook = std::chrono::milliseconds(1);
  constexpr int kMostLooks = 50;
  constexpr double kIdle = 1e-4;  // seconds of a look
  for (int look = 0; look < kMostLooks; ++look) {
    const double before = processor_seconds();
    std::this_thread::sleep_for(kLook);
    if (processor_seconds() - before < kIdle) return;
  }
}

/// One set of layers, called in turn like those of a model.
class Set {
 public:
  Set(const Layers& layers, c10::Device device) : layers_(layers), device_(device) {
    const auto start = Clock::now();
    double once = run(1);  // what is made at first use is not timed
    for (size_t i = 1; i < layers.size() && seconds_since(start) < kWarmSeconds; ++i)
      once = std::min(once, run(1));
    once = std::max(std::min(once, run(1)), 1e-8);
    batch_ = std::clamp<int64_t>(std::llround(kBatchSeconds / once), 1, 1 << 16);
  }

  void sample() {
    run(std::min<int64_t>(batch_, 4));  // back into the caches
    samples_.push_back(run(batch_) / double(batch_) * 1e6);
  }

  Spread spread() {
    std::sort(samples_.begin(), samples_.end());
    const auto at = [&](double share) {
      return samples_[size_t(std::lround(share * double(samples_.size() - 1)))];
    };
    return {at(0.5), at(0.1), at(0.9)};
  }

 private:
  /// Seconds of so many calls.
  double run(int64_t calls) {
    synchronize(device_);
    const auto start = Clock::now();
    for (int64_t i = 0; i < calls; ++i) {
      layers_[next_]->forward();
      next_ = next_ + 1 == layers_.size() ? 0 : next_ + 1;
    }
    synchronize(device_);
    return seconds_since(start);
  }

  const Layers& layers_;
  c10::Device device_;
  size_t next_ = 0;
  int64_t batch_ = 1;
  std::vector<double> samples_;
};

}  // namespace

void synchronize(c10::Device device) {
  if (device.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(device.index());
}

void check(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "graft bench", "was interrupted");
}

Timing time_in_turns(const Layers& own, const Layers& kernel, c10::Device device, double seconds,
                     const std::stop_token& stop) {
  Set first(own, device), second(kernel, device);
  Timing timing;
  const auto start = Clock::now();
  while (timing.rounds < kFewestRounds || seconds_since(start) < seconds) {
    check(stop);
    for (Set* set : {&first, &second}) {
      if (device.is_cpu()) wait_for_idle_threads();
      set->sample();
    }
    ++timing.rounds;
  }
  timing.own = first.spread();
  timing.kernel = second.spread();
  return timing;
}

}  // namespace graft::bench
