// The loss of a language model, from the last hidden states.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>

#include <cmath>

#include "layer.h"

namespace graft::reference {
namespace {

class ForCausalLMLossLayer final : public Layer {
 public:
  explicit ForCausalLMLossLayer(const LayerData& data)
      : hidden_(data.inputs[0]),
        labels_(data.inputs[1]),
        weight_(register_parameter("weight", data.weights[0], /*requires_grad=*/false)) {}

  Outputs forward() const override {
    return {slot_({hidden_, labels_}, [&] {
      count_own_call();
      const at::Tensor logits = at::linear(hidden_, weight_);
      // Source: transformers' ForCausalLMLoss, which takes the loss in float32.
      return at::cross_entropy_loss(logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat),
                                    labels_);
    })};
  }

 private:
  at::Tensor hidden_, labels_, weight_;
  KernelSlot slot_ = register_kernel_layer(*this, "ForCausalLMLoss/1");
};

/// shape: ROWSxHIDDENxVOCABULARY.
LayerData loss_data(const Sizes& shape, Draw& draw) {
  const int64_t rows = shape[0], hidden = shape[1], vocabulary = shape[2];
  return {.weights = {draw.normal({vocabulary, hidden}, /*deviation=*/1 / std::sqrt(double(hidden)))},
          .inputs = {draw.normal({rows, hidden}), draw.indices(rows, vocabulary)}};
}

}  // namespace

std::vector<LayerKind> loss_layers() {
  return {{"ForCausalLMLoss/1",
           {{16, 576, 49152}, {128, 576, 49152}},
           {{5, 41, 37}, {8, 128, 256}},
           loss_data,
           make_layer<ForCausalLMLossLayer>}};
}

}  // namespace graft::reference
