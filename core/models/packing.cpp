#include "packing.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "on_device.h"

namespace graft {

Packing::Packing(std::vector<Span> rows, int64_t tokens, c10::Device device) : rows_(std::move(rows)), tokens_(tokens) {
  at::Tensor ends = at::empty({int64_t(rows_.size()) + 1}, at::kInt);
  auto* end = ends.mutable_data_ptr<int32_t>();
  *end = 0;
  for (const Span& row : rows_) *++end = int32_t(packed_ += row.count);
  at::Tensor places = at::empty({packed_}, at::kLong);
  auto* place = places.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b < rows_.size(); ++b) {
    std::iota(place, place + rows_[b].count, int64_t(b) * tokens_ + rows_[b].first);
    place += rows_[b].count;
  }
  cu_seqlens_ = ends.to(device);
  places_ = places.to(device);
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
  moved.places_ = on(device, places_);
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
  const at::Tensor all = x.flatten(0, 1);
  return whole() ? all : all.index_select(0, places_);
}

at::Tensor Packing::unpack(const at::Tensor& x) const {
  std::vector<int64_t> all = x.sizes().vec(), shape = all;
  shape[0] = tokens_;
  shape.insert(shape.begin(), int64_t(rows_.size()));
  if (whole()) return x.reshape(shape);
  all[0] = shape[0] * tokens_;
  return at::zeros(all, x.options()).index_copy_(0, places_, x).view(shape);
}

}  // namespace graft
