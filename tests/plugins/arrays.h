// Arrays of any dtype and layout with guarded edges, and values for the C ABI.
#pragma once

#include <graft/plugin.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graft::test {

inline constexpr graft_dtype kFloat32{GRAFT_DTYPE_FLOAT, 32, 1};
inline constexpr graft_dtype kFloat64{GRAFT_DTYPE_FLOAT, 64, 1};
inline constexpr graft_dtype kInt32{GRAFT_DTYPE_INT, 32, 1};
inline constexpr graft_dtype kInt64{GRAFT_DTYPE_INT, 64, 1};
inline constexpr graft_dtype kBfloat16{GRAFT_DTYPE_BFLOAT, 16, 1};
inline constexpr graft_dtype kBool{GRAFT_DTYPE_BOOL, 8, 1};
inline bool same(graft_dtype a, graft_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

// What stands in kGuard bytes before and after memory that a kernel is given.
inline constexpr std::byte kPattern{0xab};
inline constexpr size_t kGuard = 256;

// A tensor of the tests. Values go in and out as double, in row-major order whatever the strides; storing
// rounds to the dtype. Memory around and between its elements is filled with a pattern that untouched()
// checks.
class Array {
 public:
  // Contiguous. `shift`: elements by which the first one is off an aligned address.
  Array(graft_dtype dtype, std::vector<int64_t> shape, int64_t shift = 0);
  // Rows (of the last dimension) with `gap` unused elements after each, off alignment by one element.
  static Array with_gaps(graft_dtype dtype, std::vector<int64_t> shape, int64_t gap);
  // Dimensions laid out in memory in another order: `order` from outermost to innermost.
  static Array permuted(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int> order);

  Array& fill(double value);
  Array& random(uint32_t seed, double low = -1, double high = 1);
  int64_t numel() const;
  double get(int64_t index) const;
  void set(int64_t index, double value);
  const std::vector<int64_t>& shape() const { return shape_; }
  graft_dtype dtype() const { return dtype_; }
  // Whether nothing but the elements themselves was written to.
  bool untouched() const;
  // The bytes of all elements in row-major order.
  std::vector<std::byte> bits() const;
  graft_value value() const;

 private:
  Array(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t extent,
        int64_t shift);
  std::byte* element(int64_t index) const;

  graft_dtype dtype_;
  std::vector<int64_t> shape_, strides_;
  size_t size_;  // bytes of an element
  mutable std::vector<std::byte> storage_;
  size_t first_;  // where the first element lies in storage_
  std::vector<bool> owned_;
  mutable graft_tensor tensor_{};
};

// A weight [columns, depth] that 8 bits hold exactly: whole multiples of a scale, 127 of it in every group of
// 64 along a row and up to 127 elsewhere, the scale being a power of two for each row. The largest are `size`
// or up to 32 times smaller.
Array whole_weight(graft_dtype dtype, int64_t columns, int64_t depth, uint32_t seed, double size);

// int32, of one dimension.
Array int32s(const std::vector<int64_t>& values);

graft_value none();
graft_value number(double x);
graft_value integer(int64_t x);
graft_value boolean(bool x);

}  // namespace graft::test
