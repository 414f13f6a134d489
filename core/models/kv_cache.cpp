#include "kv_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>

#include <algorithm>
#include <cstring>

namespace graft {

namespace {

/// cache[:, :, at : at + T] = x, [B, K, T, D]. A step writes a few hundred bytes: on the CPU torch's three operators for it would take
/// ten times as long as the copy.
void write(const at::Tensor& cache, const at::Tensor& x, int64_t at) {
  const bool fits = x.size(0) == cache.size(0) && x.size(1) == cache.size(1) && x.size(3) == cache.size(3);
  const bool plain = fits && x.is_cpu() && cache.is_cpu() && x.scalar_type() == cache.scalar_type() && x.stride(3) == 1 &&
                     !(x.requires_grad() && at::GradMode::is_enabled());
  if (!plain) {
    cache.narrow(2, at, x.size(2)).copy_(x);
    return;
  }
  const size_t size = x.element_size(), bytes = size_t(x.size(3)) * size;
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(cache.mutable_data_ptr());
  const auto offset = [&](const at::Tensor& t, int64_t b, int64_t h, int64_t n) {
    return size_t(b * t.stride(0) + h * t.stride(1) + n * t.stride(2)) * size;
  };
  for (int64_t b = 0; b < x.size(0); ++b) {
    for (int64_t h = 0; h < x.size(1); ++h) {
      for (int64_t n = 0; n < x.size(2); ++n) std::memcpy(to + offset(cache, b, h, at + n), from + offset(x, b, h, n), bytes);
    }
  }
}

}  // namespace

KVCache::KVCache(const ModelConfig& config, int64_t batch, int64_t capacity, at::TensorOptions options,
                 const std::vector<c10::Device>& devices) {
  const std::array<int64_t, 4> shape = {batch, config.num_key_value_heads, std::max<int64_t>(capacity, 1),
                                        config.head_dim};
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!devices.empty()) options = options.device(devices[size_t(layer)]);
    layers_.emplace_back(at::empty(shape, options), at::empty(shape, options));
  }
}

std::pair<at::Tensor, at::Tensor> KVCache::append(size_t layer, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t tokens = keys.size(2), end = length_ + tokens;
  grow(layer, end);
  auto& [k, v] = layers_[layer];
  write(k, keys, length_);
  write(v, values, length_);
  return {k.narrow(2, 0, end), v.narrow(2, 0, end)};
}

void KVCache::pack(const at::Tensor& real) {
  const at::Tensor order = at::argsort(real, /*stable=*/true, /*dim=*/1, /*descending=*/true);
  for (auto& [keys, values] : layers_) {
    for (at::Tensor* tensor : {&keys, &values}) {
      const at::Tensor seen = tensor->narrow(2, 0, length_);
      seen.copy_(at::gather(seen, 2, order.unsqueeze(1).unsqueeze(-1).expand_as(seen)));
    }
  }
}

void KVCache::reserve(int64_t tokens) {
  for (size_t layer = 0; layer < layers_.size(); ++layer) grow(layer, length_ + tokens);
}

void KVCache::grow(size_t layer, int64_t capacity) {
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
