// The name of the processor that ran a benchmark.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace graft::bench {

/// "Intel(R) Xeon(R) Processor", "NVIDIA H100 80GB HBM3"; the device's kind if the system does not tell.
std::string machine_name(c10::Device device);

}  // namespace graft::bench
