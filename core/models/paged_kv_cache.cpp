#include "paged_kv_cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace graft {

PagedKVCache::PagedKVCache(const ModelConfig& config, int64_t batch, at::TensorOptions options, const std::vector<c10::Device>& devices)
    : rows_(size_t(batch)) {
  const std::array<int64_t, 4> shape = {0, kPageTokens, config.num_key_value_heads, config.head_dim};
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!devices.empty()) options = options.device(devices[size_t(layer)]);
    layers_.emplace_back(at::empty(shape, options), at::empty(shape, options));
    const c10::Device device = layers_.back().first.device();
    const auto known = std::find_if(steps_.begin(), steps_.end(), [&](const Step& step) { return step.device == device; });
    step_of_layer_.push_back(size_t(known - steps_.begin()));
    if (known == steps_.end()) steps_.push_back({device});
  }
}

Packing PagedKVCache::begin_step(const Packing& tokens) {
  std::vector<Packing::Span> spans = tokens.rows();
  int64_t missing = 0;
  for (size_t b = 0; b < rows_.size(); ++b) {
    if (rows_[b].ended) spans[b].count = 0;
    rows_[b].tokens += spans[b].count;
    missing += (rows_[b].tokens + kPageTokens - 1) / kPageTokens - int64_t(rows_[b].pages.size());
  }
  reserve(missing);

  const bool some_ended = std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.ended; });
  Packing step = some_ended ? tokens.with_rows(std::move(spans)) : tokens;
  size_t columns = 1;
  at::Tensor lengths = at::empty({int64_t(rows_.size())}, at::kInt), slots = at::empty({step.packed_tokens()}, at::kLong);
  auto* slot = slots.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    while (int64_t(row.pages.size()) * kPageTokens < row.tokens) {
      row.pages.push_back(free_.back());
      free_.pop_back();
    }
    columns = std::max(columns, row.pages.size());
    lengths.mutable_data_ptr<int32_t>()[b] = int32_t(row.tokens);
    for (int64_t at = row.tokens - step.rows()[b].count; at < row.tokens; ++at)
      *slot++ = row.pages[size_t(at / kPageTokens)] * kPageTokens + at % kPageTokens;
  }
  at::Tensor table = at::zeros({int64_t(rows_.size()), int64_t(columns)}, at::kInt);
  for (size_t b = 0; b < rows_.size(); ++b)
    std::copy(rows_[b].pages.begin(), rows_[b].pages.end(), table.mutable_data_ptr<int32_t>() + b * columns);
  for (Step& each : steps_) {
    each.block_table = table.to(each.device);
    each.seqlens_k = lengths.to(each.device);
    each.slots = slots.to(each.device);
  }
  return step;
}

void PagedKVCache::append(size_t layer, const at::Tensor& keys, const at::Tensor& values) {
  layers_[layer].first.flatten(0, 1).index_copy_(0, step_of(layer).slots, keys);
  layers_[layer].second.flatten(0, 1).index_copy_(0, step_of(layer).slots, values);
}

void PagedKVCache::release(int64_t row) {
  Row& ended = rows_[size_t(row)];
  free_.insert(free_.end(), ended.pages.begin(), ended.pages.end());
  ended = {.ended = true};
}

/// All layers' pages move when there are too few: so they become half as many again at least.
void PagedKVCache::reserve(int64_t wanted) {
  const int64_t before = pages(), missing = wanted - free_pages();
  if (missing <= 0) return;
  const int64_t after = before + std::max(missing, before / 2);
  for (auto& layer : layers_) {
    for (at::Tensor* tensor : {&layer.first, &layer.second}) {
      std::vector<int64_t> shape = tensor->sizes().vec();
      shape[0] = after;
      at::Tensor larger = at::empty(shape, tensor->options());
      larger.narrow(0, 0, before).copy_(*tensor);
      *tensor = std::move(larger);
    }
  }
  for (int64_t page = after; page-- > before;) free_.push_back(int32_t(page));
}

}  // namespace graft
