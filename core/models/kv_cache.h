// KVCache: keys and values of the tokens seen so far, in place: a step writes its own and copies nothing else.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "graft/model_config.h"

namespace graft {

/// One per sequence batch; not thread-safe.
class KVCache {
 public:
  /// Room for `capacity` tokens; it grows by doubling when that is passed. `devices`: the layers', if they are not all on that of
  /// `options`.
  KVCache(const ModelConfig& config, int64_t batch, int64_t capacity, at::TensorOptions options,
          const std::vector<c10::Device>& devices = {});

  /// Tokens that every layer has seen.
  int64_t length() const { return length_; }

  /// Appends keys and values [B, K, T, D] behind `length()` and returns all of the layer's, [B, K, length() + T, D],
  /// as views. length() itself moves when advance() is called after the last layer.
  std::pair<at::Tensor, at::Tensor> append(size_t layer, const at::Tensor& keys, const at::Tensor& values);
  void advance(int64_t tokens) { length_ += tokens; }

  /// All of a layer's room, [B, K, capacity, D], for a kernel that appends by itself.
  const at::Tensor& keys(size_t layer) const { return layers_[layer].first; }
  const at::Tensor& values(size_t layer) const { return layers_[layer].second; }
  int64_t capacity() const { return layers_[0].first.size(2); }
  /// Makes room in all layers for `tokens` more.
  void reserve(int64_t tokens);
  /// Cosines and sines [capacity, D] of its positions, for such a kernel; undefined until somebody has set them.
  at::Tensor cos, sin;
  /// Moves each row's tokens that are `real`, [B, length()] bool, to its beginning, in their order; what follows them is of no use.
  void pack(const at::Tensor& real);
  /// Forgets all tokens and keeps the room.
  void clear() { length_ = 0; }

 private:
  void grow(size_t layer, int64_t capacity);

  std::vector<std::pair<at::Tensor, at::Tensor>> layers_;  // [B, K, capacity, D]
  int64_t length_ = 0;
};

}  // namespace graft
