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

at::Tensor Sampler::forward(const at::Tensor& logits, const Sampling& sampling, const SamplingOnDevice& settings,
                            const at::Tensor& uniform) const {
  const auto own = [&] { return next_tokens_on_device(logits, sampling, uniform); };
  if (!sampling.do_sample) return own();
  return slot_({logits, uniform, settings.temperature, settings.top_k, settings.top_p}, own);
}

}  // namespace graft
