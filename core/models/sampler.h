// Sampler: the choice of the next token on a device with streams, as a layer of its own, so that a kernel can be bound onto it.
#pragma once

#include <torch/nn/module.h>

#include "graft/kernel_slot.h"
#include "sampling.h"

namespace graft {

/// How to choose, where a captured graph reads it again in each step: [1] each, temperature and top_p float64, top_k int64.
struct SamplingOnDevice {
  at::Tensor temperature, top_k, top_p;

  explicit SamplingOnDevice(c10::Device device);
  void set(const Sampling& sampling) const;
};

/// Has no parameters.
class Sampler : public torch::nn::Module {
 public:
  /// logits [B, vocab] and uniform [B] float64 in [0, 1), which decides the draw → tokens [B] int64; -1 for a row whose logits are no
  /// numbers. `own` chooses where no kernel does; it knows the settings by itself.
  template <class Own>
  at::Tensor forward(const at::Tensor& logits, const at::Tensor& uniform, const SamplingOnDevice& settings, const Own& own) const {
    return slot_({logits, uniform, settings.temperature, settings.top_k, settings.top_p}, own);
  }

 private:
  KernelSlot slot_ = register_kernel_layer(*this, "Sampling/1");
};

}  // namespace graft
