#include "packing.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "on_device.h"

namespace graft {

Packing::Packing(std::vector<Span> rows, int64_t tokens, c10::Device device) : rows_(std::move(rows)), tokens_(tokens) {
  at::Tensor ends = at::empty({int64_t(rows_.size()) + 1}, at::kInt);
  auto* end = ends.mutable_data_ptr<int32_t>();
  *end = 0;
  for (const Span& row : rows_) *++end = int32_t(packed_ += row.count);
  cu_seqlens_ = ends.to(device);
}

std::optional<Packing> Packing::of(const at::Tensor& mask) {
  const int64_t tokens = mask.size(1);
  const at::Tensor on_host = mask.cpu().contiguous();
  const bool* real = on_host.const_data_ptr<bool>();
  std::vector<Span> rows;
  for (int64_t b = 0; b < mask.size(0); ++b, real += tokens) {
    const bool* first = std::find(real, real + tokens, true);
    const bool* last = std::find(first, real + tokens, false);
    if (std::find(last, real + tokens, true) != real + tokens) return std::nullopt;
    rows.push_back({first - real, last - first});
  }
  return Packing(std::move(rows), tokens, mask.device());
}

Packing Packing::to(c10::Device device) const {
  Packing moved = *this;
  moved.cu_seqlens_ = on(device, cu_seqlens_);
  return moved;
}

Packing Packing::last(int64_t tokens) const {
  std::vector<Span> rows;
  for (const Span& row : rows_) {
    const int64_t begin = std::max<int64_t>(0, row.first - (tokens_ - tokens));
    const int64_t end = std::max<int64_t>(0, row.first + row.count - (tokens_ - tokens));
    rows.push_back({begin, end - begin});
  }
  return Packing(std::move(rows), tokens, cu_seqlens_.device());
}

at::Tensor Packing::pack(const at::Tensor& x) const {
  const at::Tensor tokens_first = x.transpose(1, 2);
  if (packed_ == int64_t(rows_.size()) * tokens_) return tokens_first.reshape({packed_, x.size(1), x.size(3)});
  std::vector<at::Tensor> pieces;
  for (size_t b = 0; b < rows_.size(); ++b)
    pieces.push_back(tokens_first.select(0, int64_t(b)).narrow(0, rows_[b].first, rows_[b].count));
  return at::cat(pieces);
}

at::Tensor Packing::unpack(const at::Tensor& x) const {
  const std::vector<int64_t> shape = {int64_t(rows_.size()), tokens_, x.size(1), x.size(2)};
  if (packed_ == shape[0] * tokens_) return x.view(shape);
  const at::Tensor padding = at::zeros({tokens_, x.size(1), x.size(2)}, x.options());
  std::vector<at::Tensor> pieces;
  int64_t next = 0;
  for (const Span& row : rows_) {
    pieces.push_back(padding.narrow(0, 0, row.first));
    pieces.push_back(x.narrow(0, next, row.count));
    pieces.push_back(padding.narrow(0, 0, tokens_ - row.first - row.count));
    next += row.count;
  }
  return at::cat(pieces).view(shape);
}

}  // namespace graft
