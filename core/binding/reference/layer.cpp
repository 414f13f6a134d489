#include "layer.h"

namespace graft::reference {

int64_t LayerData::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor& tensor : weights) sum += int64_t(tensor.nbytes());
  for (const at::Tensor& tensor : inputs) sum += int64_t(tensor.nbytes());
  return sum;
}

LayerData LayerData::clone() const {
  LayerData copy;
  for (const at::Tensor& tensor : weights) copy.weights.push_back(tensor.clone());
  for (const at::Tensor& tensor : inputs) copy.inputs.push_back(tensor.clone());
  return copy;
}

LayerData LayerData::in_double() const {
  const auto converted = [](const at::Tensor& tensor) {
    return tensor.is_floating_point() ? tensor.to(at::kDouble) : tensor;
  };
  LayerData copy;
  for (const at::Tensor& tensor : weights) copy.weights.push_back(converted(tensor));
  for (const at::Tensor& tensor : inputs) copy.inputs.push_back(converted(tensor));
  return copy;
}

const LayerKind* find_layer_kind(std::string_view contract) {
  static const std::vector<LayerKind> all = [] {
    std::vector<LayerKind> kinds;
    for (const auto& part :
         {norm_layers(), activation_layers(), linear_layers(), attention_layers(), loss_layers(), fused_layers(), decoder_layers(),
          sampling_layers()}) {
      kinds.insert(kinds.end(), part.begin(), part.end());
    }
    return kinds;
  }();
  for (const LayerKind& kind : all) {
    if (kind.contract == contract) return &kind;
  }
  return nullptr;
}

}  // namespace graft::reference
