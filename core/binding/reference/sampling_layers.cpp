// The choice of the next token, as the models of core/models have it.
#include <ATen/ops/tensor.h>

#include "layer.h"
#include "sampling.h"  // of core/models

namespace graft::reference {
namespace {

class SamplingLayer final : public Layer {
 public:
  explicit SamplingLayer(const LayerData& data) : inputs_(data.inputs) {}

  Outputs forward() const override {
    const at::Tensor &logits = inputs_[0], &uniform = inputs_[1], &temperature = inputs_[2], &top_k = inputs_[3], &top_p = inputs_[4];
    return {slot_({logits, uniform, temperature, top_k, top_p}, [&] {
      count_own_call();
      const Sampling sampling{true, temperature.item<double>(), top_k.item<int64_t>(), top_p.item<double>()};
      return next_tokens_on_device(logits, sampling, uniform);
    })};
  }

 private:
  std::vector<at::Tensor> inputs_;
  KernelSlot slot_ = register_kernel_layer(*this, "Sampling/1");
};

/// shape: ROWSxVOCABULARY. As Qwen3's own settings say, but for a top-k that cuts something off a small vocabulary too.
LayerData sampling_data(const Sizes& shape, Draw& draw) {
  const at::Tensor logits = draw.normal(shape, /*deviation=*/2), uniform = draw.uniform(shape[0]);
  const auto one = [&](auto value, at::ScalarType dtype) { return at::tensor({value}, dtype).to(logits.device()); };
  return {.weights = {}, .inputs = {logits, uniform, one(0.6, at::kDouble), one(int64_t{20}, at::kLong), one(0.95, at::kDouble)}};
}

}  // namespace

std::vector<LayerKind> sampling_layers() {
  return {{"Sampling/1", {{1, 151936}, {8, 151936}, {64, 151936}}, {{5, 37}, {16, 1024}}, sampling_data, make_layer<SamplingLayer>}};
}

}  // namespace graft::reference
