// What the tests of plugins share: a plugin opened by its file, arrays of any dtype and layout with guarded
// edges, and a call through the C ABI as a host makes it.
#pragma once

#include <graft/plugin.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
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

// A weight [columns, depth] that 8 bits hold exactly: whole multiples of a scale, 127 of it in every group of 64 along a row and up
// to 127 elsewhere, the scale being a power of two for each row. The largest are `size` or up to 32 times smaller.
Array whole_weight(graft_dtype dtype, int64_t columns, int64_t depth, uint32_t seed, double size);

// int32, of one dimension.
Array int32s(const std::vector<int64_t>& values);

graft_value none();
graft_value number(double x);
graft_value integer(int64_t x);
graft_value boolean(bool x);

// The message of the last set_error on this thread.
const std::string& last_error();

// An entry of a plugin, opened, initialised and never closed.
class Kernel {
 public:
  Kernel(const std::string& file, const std::string& entry, const graft_contract& contract,
         std::vector<graft_value> attributes = {});
  const graft_entry& entry() const { return *entry_; }

  // Shows it the weights among `arguments`, those of forward.
  graft_status prepare(const std::vector<graft_value>& arguments) const;
  // supports, workspace_size and forward as a host calls them, without the weights if the entry PREPACKS, with `threads` threads. Expects the guards of
  // the workspace to be intact; what it holds at first are NaN. Unless `at_once`, a single thread does the work of all, one after the other.
  graft_status run(const std::vector<graft_value>& arguments, uint32_t threads = 1, bool at_once = true) const;
  // backward likewise. Of `arguments`, those of forward, it sees what the contract keeps or saves.
  graft_status run_backward(const std::vector<graft_value>& arguments,
                            const std::vector<graft_value>& grad_outputs, uint64_t needs_gradient,
                            const std::vector<graft_value>& grad_inputs, uint32_t threads = 1) const;
  size_t workspace(const std::vector<graft_value>& arguments, uint32_t threads,
                   uint32_t pass = GRAFT_WORKSPACE_FORWARD) const;
  const graft_contract& contract() const { return *contract_; }

 private:
  std::vector<graft_value> kept(std::vector<graft_value> arguments) const;
  std::vector<graft_value> seen_by_forward(std::vector<graft_value> arguments) const;
  graft_status call(size_t workspace, uint32_t threads, bool at_once,
                    const std::function<graft_status(const graft_call&)>& body) const;

  const graft_contract* contract_;
  std::vector<graft_value> attributes_;
  const graft_entry* entry_ = nullptr;
  std::shared_ptr<graft_instance> instance_;
};

// body(0) … body(count - 1), each on a thread of its own.
void run_at_once(int count, const std::function<void(int)>& body);

// |actual - expected| within the contract's tolerance for dtype; NaN answers NaN, an infinity the same one.
void expect_close(const graft_contract& contract, graft_dtype dtype, const std::vector<double>& expected,
                  const Array& actual, const std::string& what);

// A variant of the first-party kernels, and a dtype.
struct Case {
  std::string variant;
  graft_dtype dtype;
  std::string file(const std::string& name) const;
};

// Tests of kernels run for each variant that this processor can run, and each dtype.
class KernelTest : public testing::TestWithParam<Case> {
 protected:
  graft_dtype dtype() const { return GetParam().dtype; }
  std::string file(const std::string& name) const { return GetParam().file(name); }
  void SetUp() override;
};
std::vector<Case> all_cases();
// Those of float32 and bfloat16, for entries that serve no other.
std::vector<Case> float_cases();
std::string case_name(const testing::TestParamInfo<Case>& info);

}  // namespace graft::test
