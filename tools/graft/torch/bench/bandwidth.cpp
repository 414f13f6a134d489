#include "bandwidth.h"

#include <ATen/ops/ones.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "graft/thread_pool.h"
#include "timing.h"

namespace graft::bench {
namespace {

typedef int64_t Vector __attribute__((vector_size(32)));
constexpr int64_t kRange = 8192;  // vectors: 256 KiB, what a thread takes at once

/// Twice the last cache; within bounds, since a virtual machine may see the cache of a whole host.
int64_t buffer_bytes() {
  const int64_t cache = std::max({sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE), 0L});
  return std::clamp<int64_t>(2 * cache, int64_t{256} << 20, int64_t{1} << 30);
}

struct Reading {
  const Vector* vectors;
  std::atomic<int64_t> sum = 0;
};

/// Sums up ranges, each in four streams, which keeps more cache lines on their way than one.
void read_ranges(void* data, int64_t begin, int64_t end, uint32_t) {
  Reading& reading = *static_cast<Reading*>(data);
  Vector sums[4] = {};
  for (int64_t range = begin; range < end; ++range) {
    const Vector* from = reading.vectors + range * kRange;
    for (int64_t i = 0; i < kRange / 4; i += 2) {
      for (int64_t stream = 0; stream < 4; ++stream) {
        const Vector* at = from + stream * (kRange / 4) + i;
        __builtin_prefetch(at + 4096 / sizeof(Vector));
        sums[stream] += at[0] + at[1];
      }
    }
  }
  const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
  reading.sum += sum[0] + sum[1] + sum[2] + sum[3];
}

/// The rate of the fastest of some passes that each move `bytes`.
template <class Pass>
double best_rate(double bytes, const std::stop_token& stop, const Pass& pass) {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    check(stop);
    const auto start = std::chrono::steady_clock::now();
    pass();
    best = std::max(best,
                    bytes / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best / 1e9;
}

}  // namespace

double measure_bandwidth(c10::Device device, const std::stop_token& stop) {
  const int64_t bytes = buffer_bytes();
  const at::Tensor buffer = at::ones({bytes / 8}, at::TensorOptions(device).dtype(at::kLong));
  if (!device.is_cpu()) {
    at::Tensor copy = buffer.clone();
    return best_rate(2.0 * double(bytes), stop, [&] {
      copy.copy_(buffer);
      synchronize(device);
    });
  }
  Reading reading{static_cast<const Vector*>(buffer.const_data_ptr())};
  const int64_t ranges = bytes / int64_t(sizeof(Vector)) / kRange;
  return best_rate(double(ranges * kRange) * sizeof(Vector), stop,
                   [&] { ThreadPool::shared().parallel_for(ranges, 1, read_ranges, &reading); });
}

}  // namespace graft::bench
