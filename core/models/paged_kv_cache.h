// PagedKVCache: keys and values in pages that rows take as they grow and give back when they end, so that no row holds
// memory for the length of another. Layout as vLLM's and FlashAttention's block_table.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "graft/model_config.h"
#include "packing.h"

namespace graft {

/// One per batch; not thread-safe. A row's page has the same number in every layer. Padding takes no room.
class PagedKVCache {
 public:
  /// Tokens of a page: a block of keys of the first-party CPU kernel, which reads a page in place.
  static constexpr int64_t kPageTokens = 64;

  /// `devices`: the layers', if they are not all on that of `options`.
  PagedKVCache(const ModelConfig& config, int64_t batch, at::TensorOptions options, const std::vector<c10::Device>& devices = {});

  /// Positions that every layer has seen, padding and rows that have ended included: as KVCache::length().
  int64_t length() const { return length_; }

  /// The step's new tokens without those of rows that have ended; takes the pages for them. Once before the layers run.
  /// `tokens`: the real ones among the step's positions.
  Packing begin_step(const Packing& tokens);
  /// Writes the step's keys and values [N, K, D] of a layer.
  void append(size_t layer, const at::Tensor& keys, const at::Tensor& values);
  void advance(int64_t tokens) { length_ += tokens; }

  /// The row has ended: its pages are free for others, and its tokens are passed over from now on.
  void release(int64_t row);

  const at::Tensor& keys(size_t layer) const { return layers_[layer].first; }     // [P, L, K, D]
  const at::Tensor& values(size_t layer) const { return layers_[layer].second; }  // [P, L, K, D]
  // Of the step, on a layer's device: [B, X] int32, and [B] int32 with the step's tokens included.
  const at::Tensor& block_table(size_t layer = 0) const { return step_of(layer).block_table; }
  const at::Tensor& seqlens_k(size_t layer = 0) const { return step_of(layer).seqlens_k; }
  int64_t pages() const { return layers_.empty() ? 0 : layers_[0].first.size(0); }
  int64_t free_pages() const { return int64_t(free_.size()); }

 private:
  struct Row {
    std::vector<int32_t> pages = {};
    int64_t tokens = 0;
    bool ended = false;
  };
  /// What all layers of one device share in a step.
  struct Step {
    c10::Device device;
    at::Tensor block_table = {}, seqlens_k = {};
    at::Tensor slots = {};  // [N] int64: where the step's tokens go, among all tokens of all pages
  };
  const Step& step_of(size_t layer) const { return steps_[step_of_layer_[layer]]; }
  void reserve(int64_t pages);

  std::vector<std::pair<at::Tensor, at::Tensor>> layers_;
  std::vector<Row> rows_;
  std::vector<int32_t> free_;
  std::vector<Step> steps_;            // one for each device
  std::vector<size_t> step_of_layer_;  // its number among them
  int64_t length_ = 0;
};

}  // namespace graft
