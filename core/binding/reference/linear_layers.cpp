// Linear, and the gated MLPs that are made of three of them.
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>

#include <cmath>

#include "layer.h"

namespace graft::reference {
namespace {

class LinearLayer final : public Layer {
 public:
  explicit LinearLayer(const LayerData& data)
      : x_(data.inputs[0]), weight_(register_parameter("weight", data.weights[0], /*requires_grad=*/false)) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      return at::linear(x_, weight_);
    })};
  }

 private:
  at::Tensor x_, weight_;
  KernelSlot slot_ = register_kernel_layer(*this, "Linear/1");
};

template <bool kSilu>
class GatedMLPLayer final : public Layer {
 public:
  explicit GatedMLPLayer(const LayerData& data)
      : x_(data.inputs[0]),
        gate_(register_parameter("gate", data.weights[0], /*requires_grad=*/false)),
        up_(register_parameter("up", data.weights[1], /*requires_grad=*/false)),
        down_(register_parameter("down", data.weights[2], /*requires_grad=*/false)) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      const at::Tensor gate = at::linear(x_, gate_);
      return at::linear((kSilu ? at::silu(gate) : at::gelu(gate)) * at::linear(x_, up_), down_);
    })};
  }

 private:
  at::Tensor x_, gate_, up_, down_;
  KernelSlot slot_ = register_kernel_layer(*this, kSilu ? "SwiGLUMLP/1" : "GeGLUMLP/1");
};

/// [out, in], so that outputs are about as large as inputs.
at::Tensor projection(int64_t out, int64_t in, Draw& draw) {
  return draw.normal({out, in}, /*deviation=*/1 / std::sqrt(double(in)));
}

/// shape: ROWSxINxOUT.
LayerData linear_data(const Sizes& shape, Draw& draw) {
  return {.weights = {projection(shape[2], shape[1], draw)}, .inputs = {draw.normal({shape[0], shape[1]})}};
}

/// shape: ROWSxHIDDENxINNER.
LayerData mlp_data(const Sizes& shape, Draw& draw) {
  const int64_t hidden = shape[1], inner = shape[2];
  return {.weights = {projection(inner, hidden, draw), projection(inner, hidden, draw),
                      projection(hidden, inner, draw)},
          .inputs = {draw.normal({shape[0], hidden})}};
}

const std::vector<Sizes> kLinearGrid = {{1, 576, 576},   {1, 576, 1536},  {16, 576, 1536}, {512, 576, 1536},
                                        {1, 576, 49152}, {1, 4096, 4096}, {16, 4096, 4096}};
const std::vector<Sizes> kMLPGrid = {{1, 576, 1536}, {16, 576, 1536}, {512, 576, 1536}, {1, 2048, 8192}};

const std::vector<Sizes> kSmall = {{3, 41, 27}, {4, 128, 192}};

}  // namespace

std::vector<LayerKind> linear_layers() {
  return {{"Linear/1", kLinearGrid, kSmall, linear_data, make_layer<LinearLayer>},
          {"SwiGLUMLP/1", kMLPGrid, kSmall, mlp_data, make_layer<GatedMLPLayer</*kSilu=*/true>>},
          {"GeGLUMLP/1", kMLPGrid, kSmall, mlp_data, make_layer<GatedMLPLayer</*kSilu=*/false>>}};
}

}  // namespace graft::reference
