#include "timing.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "graft/error.h"

namespace graft::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kBatchSeconds = 1e-3;
constexpr int kFewestRounds = 5;
// LibTorch's own threads (OpenMP) spin for some milliseconds after their work, on processors that the other
// forward's threads then miss: until they sleep nothing is timed.
constexpr auto kUntilThreadsSleep = std::chrono::milliseconds(8);

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One set of layers, called in turn like those of a model.
class Set {
 public:
  Set(const Layers& layers, c10::Device device) : layers_(layers), device_(device) {
    run(int64_t(layers.size()));  // every layer once: what is made at first use is not timed
    const double once = std::max(run(1), 1e-8);
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
    first.sample();
    if (device.is_cpu()) std::this_thread::sleep_for(kUntilThreadsSleep);
    second.sample();
    ++timing.rounds;
  }
  timing.own = first.spread();
  timing.kernel = second.spread();
  return timing;
}

}  // namespace graft::bench
