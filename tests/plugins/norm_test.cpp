// RMSNorm and AddRMSNorm against their definition in double precision.
#include <graft/contracts/add_rms_norm.h>
#include <graft/contracts/rms_norm.h>

#include <cmath>
#include <limits>

#include "gradients.h"

namespace graft::test {
namespace {

constexpr double kEps = 1e-5;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Expected {
  std::vector<double> out, rstd;
};

Expected reference(const Array& x, const Array& weight) {
  const int64_t width = weight.numel(), rows = width == 0 ? 0 : x.numel() / width;
  Expected e;
  for (int64_t row = 0; row < rows; ++row) {
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += x.get(row * width + i) * x.get(row * width + i);
    const double r = 1 / std::sqrt(squares / double(width) + kEps);
    e.rstd.push_back(r);
    for (int64_t i = 0; i < width; ++i) e.out.push_back(x.get(row * width + i) * r * weight.get(i));
  }
  return e;
}

class RMSNormTest : public KernelTest {
 protected:
  Kernel kernel() const { return Kernel(file("norm"), "RMSNorm", graft_contract_rms_norm_1, {number(kEps)}); }

  void check(const Array& x, const std::string& what, uint32_t threads = 1) {
    const int64_t width = x.shape().back();
    const Array weight = Array(dtype(), {width}).random(7, 0.5, 1.5);
    std::vector<int64_t> rows_shape(x.shape().begin(), x.shape().end() - 1);
    Array out(dtype(), x.shape()), rstd(kFloat32, rows_shape);
    ASSERT_EQ(kernel().run({x.value(), weight.value(), out.value(), rstd.value()}, threads), GRAFT_OK)
        << last_error();
    const Expected expected = reference(x, weight);
    expect_close(graft_contract_rms_norm_1, dtype(), expected.out, out, what);
    expect_close(graft_contract_rms_norm_1, kFloat32, expected.rstd, rstd, what + " rstd");
  }

  void check_backward(const Array& x, const std::string& what) {
    const int64_t width = x.shape().back();
    std::vector<int64_t> rows_shape(x.shape().begin(), x.shape().end() - 1);
    check_gradients(kernel(),
                    {{x, Array(dtype(), {width}).random(7, 0.5, 1.5)},
                     {Array(dtype(), x.shape()), Array(kFloat32, rows_shape)},
                     0b11},
                    what);
  }
};

TEST_P(RMSNormTest, AllWidthsUpTo33AndRealOnes) {
  for (int64_t width = 1; width <= 33; ++width)
    check(Array(dtype(), {3, width}).random(1), "width " + std::to_string(width));
  for (int64_t width : {127, 576, 1024, 4099})
    check(Array(dtype(), {2, 3, width}).random(2, -3, 3), "width " + std::to_string(width));
}

TEST_P(RMSNormTest, AnyNumberOfRowsAndThreads) {
  for (int64_t rows : {0, 1, 2, 5, 17, 64, 513})
    for (uint32_t threads : {1, 2, 3})
      check(Array(dtype(), {rows, 576}).random(uint32_t(rows)), std::to_string(rows) + " rows", threads);
}

TEST_P(RMSNormTest, RowsOfAnyStrideAndAlignment) {
  check(Array::with_gaps(dtype(), {5, 33}, 3).random(3), "gaps");
  check(Array::permuted(dtype(), {2, 3, 4, 19}, {2, 0, 1, 3}).random(4), "permuted");
  check(Array(dtype(), {4, 17}, 1).random(5), "off alignment");
  check(Array(dtype(), {24}).random(6), "one dimension");
}

TEST_P(RMSNormTest, RstdIsOptional) {
  const Array x = Array(dtype(), {4, 40}).random(1), weight = Array(dtype(), {40}).fill(1);
  Array out(dtype(), {4, 40});
  ASSERT_EQ(kernel().run({x.value(), weight.value(), out.value(), none()}), GRAFT_OK);
  expect_close(graft_contract_rms_norm_1, dtype(), reference(x, weight).out, out, "without rstd");
}

TEST_P(RMSNormTest, NanInfinitiesZerosAndDenormalsFollowTheDefinition) {
  Array x = Array(dtype(), {6, 21}).random(1);
  x.set(0 * 21 + 20, kNan);
  x.set(1 * 21 + 3, kInf);
  x.set(2 * 21 + 9, -kInf);
  for (int64_t i = 0; i < 21; ++i) x.set(3 * 21 + i, 0), x.set(4 * 21 + i, 1e-40), x.set(5 * 21 + i, -0.0);
  check(x, "special values");
}

TEST_P(RMSNormTest, OneInstanceServesManyThreadsAtOnce) {
  const Kernel shared = kernel();
  const Array x = Array(dtype(), {17, 576}).random(1), weight = Array(dtype(), {576}).random(2);
  const Expected expected = reference(x, weight);
  std::vector<Array> outs(4, Array(dtype(), {17, 576}));
  const graft_value arguments[2] = {x.value(), weight.value()};
  run_at_once(4, [&](int i) {
    for (int repeat = 0; repeat < 20; ++repeat)
      EXPECT_EQ(shared.run({arguments[0], arguments[1], outs[size_t(i)].value(), none()}, 2), GRAFT_OK);
  });
  for (const Array& out : outs)
    expect_close(graft_contract_rms_norm_1, dtype(), expected.out, out, "concurrent");
}

TEST_P(RMSNormTest, GradientsForAnyWidthRowsAndStrides) {
  for (int64_t width : {1, 2, 7, 8, 9, 33, 576})
    check_backward(Array(dtype(), {3, width}).random(1, -2, 2), "width " + std::to_string(width));
  for (int64_t rows : {0, 1, 15, 16, 17, 33, 1100})
    check_backward(Array(dtype(), {rows, 19}).random(2), std::to_string(rows) + " rows");
  check_backward(Array::with_gaps(dtype(), {5, 33}, 3).random(3), "gaps");
  check_backward(Array::permuted(dtype(), {2, 3, 4, 19}, {2, 0, 1, 3}).random(4), "permuted");
  check_backward(Array(dtype(), {24}).random(5), "one dimension");
}

TEST_P(RMSNormTest, NanInOneRowReachesItsGradientAndTheWeightsAlone) {
  Array x = Array(dtype(), {4, 21}).random(1);
  x.set(21 + 20, kNan);
  const Differentiated call{{x, Array(dtype(), {21}).fill(1)}, {Array(dtype(), {4, 21}), std::nullopt}, 0b11};
  const auto grad = gradients(kernel(), call, random_grad_outputs(kernel(), call, dtype()));
  for (int64_t i = 0; i < 4 * 21; ++i) EXPECT_EQ(std::isnan(grad[0][size_t(i)]), i / 21 == 1);
  for (double g : grad[1]) EXPECT_TRUE(std::isnan(g));
}

TEST_P(RMSNormTest, WorkspaceOfBackwardGrowsWithEveryDimension) {
  const auto size = [&](int64_t rows, int64_t width) {
    const Array x(dtype(), {rows, width}), weight(dtype(), {width});
    return kernel().workspace({x.value(), weight.value(), x.value(), none()}, 2, GRAFT_WORKSPACE_BACKWARD);
  };
  for (int64_t n = 0; n < 80; ++n) {
    EXPECT_LE(size(16 * n, 20), size(16 * n + 1, 20));
    EXPECT_LE(size(16 * n + 1, 20), size(16 * n + 16, 20));
    EXPECT_LE(size(20, n), size(20, n + 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Plugins, RMSNormTest, testing::ValuesIn(all_cases()), case_name);

class AddRMSNormTest : public KernelTest {
 protected:
  void check(const Array& x, const Array& residual, const std::string& what, uint32_t threads = 1) {
    const int64_t width = x.shape().back();
    const Kernel kernel(file("norm"), "AddRMSNorm", graft_contract_add_rms_norm_1, {number(kEps)});
    const Array weight = Array(dtype(), {width}).random(7, 0.5, 1.5);
    std::vector<int64_t> rows_shape(x.shape().begin(), x.shape().end() - 1);
    Array out(dtype(), x.shape()), sum(dtype(), x.shape()), rstd(kFloat32, rows_shape);
    ASSERT_EQ(
        kernel.run({x.value(), residual.value(), weight.value(), out.value(), sum.value(), rstd.value()},
                   threads),
        GRAFT_OK)
        << last_error();
    Array rounded(dtype(), x.shape());
    std::vector<double> sums;
    for (int64_t i = 0; i < x.numel(); ++i)
      rounded.set(i, x.get(i) + residual.get(i)), sums.push_back(rounded.get(i));
    const Expected expected = reference(rounded, weight);
    expect_close(graft_contract_add_rms_norm_1, dtype(), sums, sum, what + " sum");
    expect_close(graft_contract_add_rms_norm_1, dtype(), expected.out, out, what);
    expect_close(graft_contract_add_rms_norm_1, kFloat32, expected.rstd, rstd, what + " rstd");
  }
};

TEST_P(AddRMSNormTest, AllWidthsAndRowCounts) {
  for (int64_t width = 1; width <= 33; ++width)
    check(Array(dtype(), {2, width}).random(1), Array(dtype(), {2, width}).random(2),
          "width " + std::to_string(width));
  for (int64_t rows : {0, 1, 5, 513})
    for (uint32_t threads : {1, 3})
      check(Array(dtype(), {rows, 576}).random(1), Array(dtype(), {rows, 576}).random(2),
            std::to_string(rows) + " rows", threads);
}

TEST_P(AddRMSNormTest, InputsOfDifferentStrides) {
  check(Array::with_gaps(dtype(), {3, 4, 29}, 5).random(1),
        Array::permuted(dtype(), {3, 4, 29}, {1, 0, 2}).random(2), "strides");
}

TEST_P(AddRMSNormTest, NanAndInfinitiesFollowTheDefinition) {
  Array x = Array(dtype(), {3, 13}).random(1), residual = Array(dtype(), {3, 13}).random(2);
  x.set(0, kInf), residual.set(0, -kInf);
  x.set(13 + 12, kInf);
  check(x, residual, "special values");
}

TEST_P(AddRMSNormTest, GradientsThroughBothOutputs) {
  const Kernel kernel(file("norm"), "AddRMSNorm", graft_contract_add_rms_norm_1, {number(kEps)});
  const auto check_backward = [&](const Array& x, const Array& residual) {
    std::vector<int64_t> rows_shape(x.shape().begin(), x.shape().end() - 1);
    check_gradients(kernel,
                    {{x, residual, Array(dtype(), {x.shape().back()}).random(7, 0.5, 1.5)},
                     {Array(dtype(), x.shape()), Array(dtype(), x.shape()), Array(kFloat32, rows_shape)},
                     0b111},
                    "AddRMSNorm");
  };
  for (int64_t rows : {0, 1, 40})
    check_backward(Array(dtype(), {rows, 37}).random(1), Array(dtype(), {rows, 37}).random(2));
  check_backward(Array::with_gaps(dtype(), {3, 4, 29}, 5).random(1),
                 Array::permuted(dtype(), {3, 4, 29}, {1, 0, 2}).random(2));
}

INSTANTIATE_TEST_SUITE_P(Plugins, AddRMSNormTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
