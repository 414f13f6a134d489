// Packing: the real tokens of a padded batch, one row's behind the other's, so that nothing is computed for padding; and where
// each row's are, as varlen_attention/1 takes it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace graft {

/// Immutable use from any thread. Steps of torch's graph where gradients are wanted.
class Packing {
 public:
  /// A row's real tokens: positions [first, first + count).
  struct Span {
    int64_t first, count;
  };

  /// One span for each row of `tokens` positions.
  Packing(std::vector<Span> rows, int64_t tokens, c10::Device device);

  /// Of a mask [B, T] bool, true: a real token. Nothing if a row's real tokens do not stand side by side: then a sliding
  /// window over the packed ones would be another.
  static std::optional<Packing> of(const at::Tensor& mask);

  /// Of as many positions, with other real tokens among them.
  Packing with_rows(std::vector<Span> rows) const { return Packing(std::move(rows), tokens_, cu_seqlens_.device()); }
  /// For tensors of that device.
  Packing to(c10::Device device) const;
  /// Of the last `tokens` positions alone.
  Packing last(int64_t tokens) const;

  /// [B, T, …] → [N, …].
  at::Tensor pack(const at::Tensor& x) const;
  /// [N, …] → [B, T, …], zeros where the padding is.
  at::Tensor unpack(const at::Tensor& x) const;

  const std::vector<Span>& rows() const { return rows_; }
  int64_t packed_tokens() const { return packed_; }
  const at::Tensor& cu_seqlens() const { return cu_seqlens_; }  // [B + 1] int32

 private:
  bool whole() const { return packed_ == int64_t(rows_.size()) * tokens_; }  // nothing is padding

  std::vector<Span> rows_;
  int64_t tokens_, packed_ = 0;
  at::Tensor cu_seqlens_;
  at::Tensor places_;  // [N] int64: where the real tokens stand among all B * T
};

}  // namespace graft
