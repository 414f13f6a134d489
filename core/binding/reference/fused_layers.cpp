// Fusions: the layers of which one kernel does the work, one after the other.
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>

#include <cmath>

#include "layer.h"

namespace graft::reference {
namespace {

constexpr double kEps = 1e-5;

/// A fused contract's weights have names that a module's parameters cannot have.
class RMSNormMLPLayer final : public Layer {
 public:
  explicit RMSNormMLPLayer(const LayerData& data)
      : x_(data.inputs[0]), weight_(data.weights[0]), gate_(data.weights[1]), up_(data.weights[2]), down_(data.weights[3]) {}

  Outputs forward() const override {
    return {slot_({x_}, [&] {
      count_own_call();
      const at::Tensor normed = at::rms_norm(x_, weight_.sizes(), weight_, kEps);
      return at::linear(at::silu(at::linear(normed, gate_)) * at::linear(normed, up_), down_);
    })};
  }

 private:
  at::Tensor x_, weight_, gate_, up_, down_;
  KernelSlot slot_ = register_kernel_layer(
      *this, "RMSNormMLP/1",
      {.attributes = {{"0.eps", kEps}}, .weights = {{"0.weight", weight_}, {"1.gate", gate_}, {"1.up", up_}, {"1.down", down_}}});
};

/// shape: ROWSxHIDDENxINNER.
LayerData norm_mlp_data(const Sizes& shape, Draw& draw) {
  const int64_t hidden = shape[1], inner = shape[2];
  const auto projection = [&](int64_t out, int64_t in) { return draw.normal({out, in}, /*deviation=*/1 / std::sqrt(double(in))); };
  const at::Tensor weight = draw.normal({hidden}, /*deviation=*/0.2, /*mean=*/1);
  const at::Tensor gate = projection(inner, hidden), up = projection(inner, hidden), down = projection(hidden, inner);
  return {.weights = {weight, gate, up, down}, .inputs = {draw.normal({shape[0], hidden})}};
}

const std::vector<Sizes> kGrid = {{1, 576, 1536}, {16, 576, 1536}, {512, 576, 1536}, {1, 2048, 8192}};
const std::vector<Sizes> kSmall = {{3, 41, 27}, {4, 128, 192}};

}  // namespace

std::vector<LayerKind> fused_layers() { return {{"RMSNormMLP/1", kGrid, kSmall, norm_mlp_data, make_layer<RMSNormMLPLayer>}}; }

}  // namespace graft::reference
