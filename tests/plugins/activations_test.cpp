// SiLU and SiluAndMul against their definition in double precision.
#include <graft/contracts/silu.h>
#include <graft/contracts/silu_and_mul.h>

#include <cmath>
#include <limits>

#include "gradients.h"

namespace graft::test {
namespace {

double silu(double x) {
  return x / (1 + std::exp(-x));
}

class SiLUTest : public KernelTest {
 protected:
  void check(const Array& x, const std::string& what, uint32_t threads = 1) {
    const Kernel kernel(file("mlp"), "SiLU", graft_contract_silu_1);
    Array out(dtype(), x.shape());
    ASSERT_EQ(kernel.run({x.value(), out.value()}, threads), GRAFT_OK) << last_error();
    std::vector<double> expected;
    for (int64_t i = 0; i < x.numel(); ++i) expected.push_back(silu(x.get(i)));
    expect_close(graft_contract_silu_1, dtype(), expected, out, what);
  }
};

TEST_P(SiLUTest, AnySizeAndShape) {
  for (int64_t size = 0; size <= 33; ++size)
    check(Array(dtype(), {size}).random(1, -8, 8), std::to_string(size));
  check(Array(dtype(), {}).fill(0.5), "scalar");
  check(Array(dtype(), {3, 5, 7}).random(2), "three dimensions");
  for (uint32_t threads : {1, 2, 3}) check(Array(dtype(), {100003}).random(3, -20, 20), "large", threads);
}

TEST_P(SiLUTest, WholeRangeOfExponents) {
  Array x(dtype(), {2001});
  for (int64_t i = 0; i < 2001; ++i) x.set(i, double(i - 1000) * 0.11);
  check(x, "-110 … 110");
}

TEST_P(SiLUTest, SpecialValuesFollowTheDefinition) {
  Array x(dtype(), {9});
  const double infinity = std::numeric_limits<double>::infinity();
  const double values[] = {infinity, -infinity, std::nan(""), 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38};
  for (int i = 0; i < 9; ++i) x.set(i, values[i]);
  check(x, "special values");
}

TEST_P(SiLUTest, RelativeErrorStaysWithinAFewUnitsInTheLastPlace) {
  const Array x = Array(dtype(), {20000}).random(5, -80, 80);
  Array out(dtype(), {20000});
  ASSERT_EQ(Kernel(file("mlp"), "SiLU", graft_contract_silu_1).run({x.value(), out.value()}), GRAFT_OK);
  const double bound =
      same(dtype(), kFloat32) ? 4 * std::numeric_limits<float>::epsilon() : 1.0 / 255;  // half a bfloat16 ulp
  for (int64_t i = 0; i < x.numel(); ++i)
    ASSERT_NEAR(out.get(i) / silu(x.get(i)), 1, bound) << "silu(" << x.get(i) << ")";
}

TEST_P(SiLUTest, GradientOfAnySizeAndShape) {
  const Kernel kernel(file("mlp"), "SiLU", graft_contract_silu_1);
  for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {0}, {1}, {7}, {33}, {3, 5, 7}, {70, 300}})
    check_gradients(kernel, {{Array(dtype(), shape).random(1, -8, 8)}, {Array(dtype(), shape)}, 1}, "SiLU");
  check_gradients(kernel, {{Array(dtype(), {40}).random(2, -100, 100)}, {Array(dtype(), {40})}, 1}, "great");
}

INSTANTIATE_TEST_SUITE_P(Plugins, SiLUTest, testing::ValuesIn(all_cases()), case_name);

class SiluAndMulTest : public KernelTest {
 protected:
  void check(const Array& x, const std::string& what, uint32_t threads = 1) {
    const Kernel kernel(file("mlp"), "SiluAndMul", graft_contract_silu_and_mul_1);
    std::vector<int64_t> shape = x.shape();
    const int64_t width = shape.back() / 2;
    shape.back() = width;
    Array out(dtype(), shape);
    ASSERT_EQ(kernel.run({x.value(), out.value()}, threads), GRAFT_OK) << last_error();
    std::vector<double> expected;
    for (int64_t i = 0; i < out.numel(); ++i) {
      const int64_t at = i / width * 2 * width + i % width;
      expected.push_back(silu(x.get(at)) * x.get(at + width));
    }
    expect_close(graft_contract_silu_and_mul_1, dtype(), expected, out, what);
  }
};

TEST_P(SiluAndMulTest, AnyWidthRowsAndStrides) {
  for (int64_t width = 1; width <= 33; ++width)
    check(Array(dtype(), {3, 2 * width}).random(1, -5, 5), std::to_string(width));
  for (int64_t rows : {0, 1, 2, 17, 513})
    for (uint32_t threads : {1, 2, 3})
      check(Array(dtype(), {rows, 2 * 96}).random(2), std::to_string(rows) + " rows", threads);
  check(Array::with_gaps(dtype(), {4, 5, 22}, 3).random(3), "gaps");
  check(Array::permuted(dtype(), {4, 5, 22}, {1, 0, 2}).random(4), "permuted");
}

TEST_P(SiluAndMulTest, GradientForAnyWidthRowsAndStrides) {
  const auto check_backward = [&](const Array& x) {
    std::vector<int64_t> shape = x.shape();
    shape.back() /= 2;
    check_gradients(Kernel(file("mlp"), "SiluAndMul", graft_contract_silu_and_mul_1),
                    {{x}, {Array(dtype(), shape)}, 1}, "SiluAndMul");
  };
  for (int64_t width : {1, 7, 8, 33}) check_backward(Array(dtype(), {3, 2 * width}).random(1, -5, 5));
  for (int64_t rows : {0, 1, 300}) check_backward(Array(dtype(), {rows, 2 * 96}).random(2));
  check_backward(Array::with_gaps(dtype(), {4, 5, 22}, 3).random(3));
  check_backward(Array::permuted(dtype(), {4, 5, 22}, {1, 0, 2}).random(4));
}

INSTANTIATE_TEST_SUITE_P(Plugins, SiluAndMulTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
