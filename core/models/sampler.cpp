#include "sampler.h"

#include <ATen/ops/zeros.h>

namespace graft {

SamplingOnDevice::SamplingOnDevice(c10::Device device) {
  const at::TensorOptions real = at::TensorOptions(device).dtype(at::kDouble);
  temperature = at::zeros({1}, real);
  top_k = at::zeros({1}, real.dtype(at::kLong));
  top_p = at::zeros({1}, real);
}

void SamplingOnDevice::set(const Sampling& sampling) const {
  temperature.fill_(sampling.temperature);
  top_k.fill_(sampling.top_k);
  top_p.fill_(sampling.top_p);
}

}  // namespace graft
