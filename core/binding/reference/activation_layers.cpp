// Activations, alone and with the product of a gated MLP: x [ROWS, INNER], or [ROWS, 2 * INNER] for the
// latter.
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

#include "layer.h"

namespace graft::reference {
namespace {

enum class Activation { silu, gelu };

at::Tensor activated(Activation activation, const at::Tensor& x) {
  return activation == Activation::silu ? at::silu(x) : at::gelu(x);
}

template <Activation kActivation>
class ActivationLayer final : public Layer {
 public:
  explicit ActivationLayer(const LayerData& data) : x_(data.inputs[0]) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      return activated(kActivation, x_);
    })};
  }

 private:
  at::Tensor x_;
  KernelSlot slot_ = register_kernel_layer(*this, kActivation == Activation::silu ? "SiLU/1" : "GELU/1");
};

template <Activation kActivation>
class ActivationAndMulLayer final : public Layer {
 public:
  explicit ActivationAndMulLayer(const LayerData& data) : x_(data.inputs[0]) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      const int64_t inner = x_.size(-1) / 2;
      return activated(kActivation, x_.narrow(-1, 0, inner)) * x_.narrow(-1, inner, inner);
    })};
  }

 private:
  at::Tensor x_;
  KernelSlot slot_ =
      register_kernel_layer(*this, kActivation == Activation::silu ? "SiluAndMul/1" : "GeluAndMul/1");
};

template <int kHalves>
LayerData activation_data(const Sizes& shape, Draw& draw) {
  return {.weights = {}, .inputs = {draw.normal({shape[0], kHalves * shape[1]})}};
}

const std::vector<Sizes> kGrid = {{1, 1536}, {512, 1536}, {1, 11008}, {512, 11008}};

const std::vector<Sizes> kSmall = {{3, 41}, {4, 128}};

}  // namespace

std::vector<LayerKind> activation_layers() {
  return {{"SiLU/1", kGrid, kSmall, activation_data<1>, make_layer<ActivationLayer<Activation::silu>>},
          {"GELU/1", kGrid, kSmall, activation_data<1>, make_layer<ActivationLayer<Activation::gelu>>},
          {"SiluAndMul/1", kGrid, kSmall, activation_data<2>, make_layer<ActivationAndMulLayer<Activation::silu>>},
          {"GeluAndMul/1", kGrid, kSmall, activation_data<2>, make_layer<ActivationAndMulLayer<Activation::gelu>>}};
}

}  // namespace graft::reference
