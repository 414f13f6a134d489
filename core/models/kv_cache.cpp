#include "kv_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace graft {

KVCache::KVCache(const ModelConfig& config, int64_t batch, int64_t capacity, at::TensorOptions options) {
  const std::array<int64_t, 4> shape = {batch, config.num_key_value_heads, std::max<int64_t>(capacity, 1),
                                        config.head_dim};
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    layers_.emplace_back(at::empty(shape, options), at::empty(shape, options));
  }
}

std::pair<at::Tensor, at::Tensor> KVCache::append(size_t layer, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t tokens = keys.size(2), end = length_ + tokens;
  reserve(layer, end);
  auto& [k, v] = layers_[layer];
  k.narrow(2, length_, tokens).copy_(keys);
  v.narrow(2, length_, tokens).copy_(values);
  return {k.narrow(2, 0, end), v.narrow(2, 0, end)};
}

void KVCache::reserve(size_t layer, int64_t capacity) {
  for (at::Tensor* tensor : {&layers_[layer].first, &layers_[layer].second}) {
    if (tensor->size(2) >= capacity) continue;
    std::vector<int64_t> shape = tensor->sizes().vec();
    shape[2] = std::max(capacity, 2 * shape[2]);
    at::Tensor larger = at::empty(shape, tensor->options());
    larger.narrow(2, 0, length_).copy_(tensor->narrow(2, 0, length_));
    *tensor = std::move(larger);
  }
}

}  // namespace graft
