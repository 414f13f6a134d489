// What this machine's memory gives.
#pragma once

#include <c10/core/Device.h>

#include <stop_token>

namespace graft::bench {

/// GB/s, the best of some passes over a buffer far larger than the caches: of reading with all threads on a
/// CPU, of copying (each byte read and written) on another device. Throws Error(cancelled) when asked to
/// stop.
double measure_bandwidth(c10::Device device, const std::stop_token& stop);

}  // namespace graft::bench
