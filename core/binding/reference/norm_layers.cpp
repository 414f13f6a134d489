// RMSNorm, alone and with the residual connection before it.
#include <ATen/ops/rms_norm.h>

#include "layer.h"

namespace graft::reference {
namespace {

constexpr double kEps = 1e-5;

class RMSNormLayer final : public Layer {
 public:
  explicit RMSNormLayer(const LayerData& data)
      : x_(data.inputs[0]), weight_(register_parameter("weight", data.weights[0], /*requires_grad=*/false)) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      return at::rms_norm(x_, weight_.sizes(), weight_, kEps);
    })};
  }

 private:
  at::Tensor x_, weight_;
  KernelSlot slot_ = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", kEps}}});
};

class AddRMSNormLayer final : public Layer {
 public:
  explicit AddRMSNormLayer(const LayerData& data)
      : x_(data.inputs[0]),
        residual_(data.inputs[1]),
        weight_(register_parameter("weight", data.weights[0], /*requires_grad=*/false)) {}

  Outputs forward() const override {
    auto [out, sum] = slot_({x_, residual_}, [&] {
      count_own_call();
      at::Tensor added = x_ + residual_;
      at::Tensor normed = at::rms_norm(added, weight_.sizes(), weight_, kEps);
      return std::tuple(std::move(normed), std::move(added));
    });
    return {std::move(out), std::move(sum)};
  }

 private:
  at::Tensor x_, residual_, weight_;
  KernelSlot slot_ = register_kernel_layer(*this, "AddRMSNorm/1", {.attributes = {{"eps", kEps}}});
};

/// shape: ROWSxHIDDEN.
template <int kInputs>
LayerData norm_data(const Sizes& shape, Draw& draw) {
  LayerData data{.weights = {draw.normal({shape[1]}, /*deviation=*/0.2, /*mean=*/1)}, .inputs = {}};
  for (int i = 0; i < kInputs; ++i) data.inputs.push_back(draw.normal(shape));
  return data;
}

// Hidden sizes of SmolLM2-135M and of models with 7 to 8 billion weights; one token, a few, and a prompt.
const std::vector<Sizes> kGrid = {{1, 576}, {16, 576}, {512, 576}, {1, 4096}, {16, 4096}, {512, 4096}};

const std::vector<Sizes> kSmall = {{3, 41}, {4, 128}};

}  // namespace

std::vector<LayerKind> norm_layers() {
  return {{"RMSNorm/1", kGrid, kSmall, norm_data<1>, make_layer<RMSNormLayer>},
          {"AddRMSNorm/1", kGrid, kSmall, norm_data<2>, make_layer<AddRMSNormLayer>}};
}

}  // namespace graft::reference
