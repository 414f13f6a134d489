#include "arrays.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

namespace graft::test {
namespace {

std::vector<int64_t> row_major(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (int i = int(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(1, shape[i + 1]);
  return strides;
}

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

uint16_t to_bfloat16(double x) {
  if (std::isnan(x)) return 0x7fc0;
  const float f = float(x);
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

Array::Array(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t extent,
             int64_t shift)
    : dtype_(dtype), shape_(std::move(shape)), strides_(std::move(strides)), size_(dtype.bits / 8) {
  storage_.assign(2 * kGuard + 64 + size_t(extent + shift) * size_, kPattern);
  const size_t misaligned = reinterpret_cast<uintptr_t>(storage_.data()) % 64;
  first_ = kGuard + (64 - misaligned) % 64 + size_t(shift) * size_;
  owned_.assign(storage_.size(), false);
  for (int64_t i = 0; i < numel(); ++i) {
    const size_t at = size_t(element(i) - storage_.data());
    std::fill_n(owned_.begin() + long(at), size_, true);
  }
}

Array::Array(graft_dtype dtype, std::vector<int64_t> shape, int64_t shift)
    : Array(dtype, shape, row_major(shape), product(shape), shift) {}

Array Array::with_gaps(graft_dtype dtype, std::vector<int64_t> shape, int64_t gap) {
  std::vector<int64_t> padded = shape;
  padded.back() += gap;
  return Array(dtype, shape, row_major(padded), product(padded), 1);
}

Array Array::permuted(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int> order) {
  std::vector<int64_t> reordered;
  for (int dim : order) reordered.push_back(shape[size_t(dim)]);
  const std::vector<int64_t> inner = row_major(reordered);
  std::vector<int64_t> strides(shape.size());
  for (size_t i = 0; i < order.size(); ++i) strides[size_t(order[i])] = inner[i];
  return Array(dtype, shape, strides, product(shape), 0);
}

int64_t Array::numel() const {
  return product(shape_);
}

std::byte* Array::element(int64_t index) const {
  int64_t offset = 0;
  for (int i = int(shape_.size()) - 1; i >= 0; --i) {
    offset += index % shape_[size_t(i)] * strides_[size_t(i)];
    index /= shape_[size_t(i)];
  }
  return storage_.data() + first_ + size_t(offset) * size_;
}

double Array::get(int64_t index) const {
  const std::byte* at = element(index);
  if (same(dtype_, kFloat64)) {
    double d;
    std::memcpy(&d, at, sizeof d);
    return d;
  }
  if (same(dtype_, kInt64)) {
    int64_t i;
    std::memcpy(&i, at, sizeof i);
    return double(i);
  }
  if (same(dtype_, kInt32)) {
    int32_t i;
    std::memcpy(&i, at, sizeof i);
    return double(i);
  }
  if (same(dtype_, kFloat32)) {
    float f;
    std::memcpy(&f, at, sizeof f);
    return f;
  }
  if (same(dtype_, kBool)) return double(*at);
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  const uint32_t bits = uint32_t{half} << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

void Array::set(int64_t index, double value) {
  std::byte* at = element(index);
  if (same(dtype_, kFloat64)) {
    std::memcpy(at, &value, sizeof value);
  } else if (same(dtype_, kInt64)) {
    const int64_t i = int64_t(value);
    std::memcpy(at, &i, sizeof i);
  } else if (same(dtype_, kInt32)) {
    const int32_t i = int32_t(value);
    std::memcpy(at, &i, sizeof i);
  } else if (same(dtype_, kFloat32)) {
    const float f = float(value);
    std::memcpy(at, &f, sizeof f);
  } else if (same(dtype_, kBool)) {
    *at = std::byte(value != 0);
  } else {
    const uint16_t half = to_bfloat16(value);
    std::memcpy(at, &half, sizeof half);
  }
}

Array& Array::fill(double value) {
  for (int64_t i = 0; i < numel(); ++i) set(i, value);
  return *this;
}

Array& Array::random(uint32_t seed, double low, double high) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(low, high);
  for (int64_t i = 0; i < numel(); ++i) set(i, distribution(generator));
  return *this;
}

bool Array::untouched() const {
  for (size_t i = 0; i < storage_.size(); ++i)
    if (!owned_[i] && storage_[i] != kPattern) return false;
  return true;
}

std::vector<std::byte> Array::bits() const {
  std::vector<std::byte> all;
  for (int64_t i = 0; i < numel(); ++i) all.insert(all.end(), element(i), element(i) + size_);
  return all;
}

graft_value Array::value() const {
  tensor_ = {storage_.data() + first_,
             {GRAFT_DEVICE_CPU, 0},
             int32_t(shape_.size()),
             dtype_,
             const_cast<int64_t*>(shape_.data()),
             const_cast<int64_t*>(strides_.data()),
             0};
  graft_value v{GRAFT_TENSOR, 0, {}};
  v.as.tensor = &tensor_;
  return v;
}

Array whole_weight(graft_dtype dtype, int64_t columns, int64_t depth, uint32_t seed, double size) {
  Array weight(dtype, {columns, depth});
  std::mt19937 generator(seed);
  const int power = std::ilogb(size) - 7;
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const int64_t row = i / depth, k = i % depth;
    const double whole = k % 64 == 0 ? 127 : int64_t(generator() % 255) - 127;
    weight.set(i, std::ldexp(whole, power - int(row % 5)));
  }
  return weight;
}

Array int32s(const std::vector<int64_t>& values) {
  Array made(kInt32, {int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i) made.set(int64_t(i), double(values[i]));
  return made;
}

graft_value none() {
  return {GRAFT_NONE, 0, {}};
}
graft_value number(double x) {
  graft_value v{GRAFT_FLOAT, 0, {}};
  v.as.number = x;
  return v;
}
graft_value integer(int64_t x) {
  graft_value v{GRAFT_INT, 0, {}};
  v.as.integer = x;
  return v;
}
graft_value boolean(bool x) {
  graft_value v{GRAFT_BOOL, 0, {}};
  v.as.integer = x;
  return v;
}

}  // namespace graft::test
