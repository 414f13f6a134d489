// Time of two sets of layers, run in turns so that both meet the same machine.
#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "layer.h"

namespace graft::bench {

using namespace reference;  // the layers and the measure of their results

/// Microseconds of one call. A sample is the mean of a batch of calls that lasts about a millisecond.
struct Spread {
  double median = 0;
  double low = 0, high = 0;  // 10th and 90th percentile
};

struct Timing {
  Spread own, kernel;
  int rounds = 0;
};

using Layers = std::vector<std::shared_ptr<Layer>>;

/// Calls the layers of each set one after the other, `seconds` for both together but five rounds at least.
/// All are on `device`. Throws Error(cancelled) when asked to stop.
Timing time_in_turns(const Layers& own, const Layers& kernel, c10::Device device, double seconds,
                     const std::stop_token& stop);

/// Waits for what was enqueued on the device.
void synchronize(c10::Device device);

/// Throws Error(cancelled) when asked to stop.
void check(const std::stop_token& stop);

}  // namespace graft::bench
