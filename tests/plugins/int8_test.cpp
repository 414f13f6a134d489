// Int8Linear and Int8SwiGLUMLP against their contracts in double precision: with weights that 8 bits hold
// exactly they are as right as a float kernel, with any other weights they err by what rounding these may
// cost.
#include <graft/contracts/linear.h>
#include <graft/contracts/swiglu_mlp.h>

#include <cmath>
#include <limits>

#include "harness.h"

namespace graft::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kGroup = 64;  // weights along a row that share a scale

Array exact_weight(graft_dtype dtype, int64_t columns, int64_t depth, uint32_t seed) {
  return whole_weight(dtype, columns, depth, seed, 0.125);
}

std::vector<double> values_of(const Array& array) {
  std::vector<double> values;
  for (int64_t i = 0; i < array.numel(); ++i) values.push_back(array.get(i));
  return values;
}

// largest / 127, rounded up to bfloat16, which has 8 bits.
double scale_of(double largest) {
  int exponent;
  const double mantissa = std::frexp(largest / 127, &exponent);
  return std::ldexp(std::ceil(std::ldexp(mantissa, 8)), exponent - 8);
}

// x @ weight^T + bias.
std::vector<double> product(const std::vector<double>& x, const Array& weight, const Array* bias = nullptr) {
  const int64_t columns = weight.shape()[0], depth = weight.shape()[1];
  const std::vector<double> ws = values_of(weight);
  std::vector<double> out;
  for (size_t row = 0; row * size_t(depth) < x.size(); ++row)
    for (int64_t column = 0; column < columns; ++column) {
      double sum = bias != nullptr ? bias->get(column) : 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += x[row * size_t(depth) + size_t(k)] * ws[size_t(column * depth + k)];
      out.push_back(sum);
    }
  return out;
}

class Int8LinearTest : public KernelTest {
 protected:
  Kernel kernel() const { return Kernel(file("linear"), "Int8Linear", graft_contract_linear_1); }

  Array run(const Kernel& kernel, const Array& x, const Array& weight, const Array* bias = nullptr,
            uint32_t threads = 1) {
    std::vector<int64_t> shape = x.shape();
    shape.back() = weight.shape()[0];
    Array out(dtype(), shape);
    const std::vector<graft_value> arguments = {x.value(), weight.value(),
                                                bias != nullptr ? bias->value() : none(), out.value()};
    EXPECT_EQ(kernel.prepare(arguments), GRAFT_OK) << last_error();
    EXPECT_EQ(kernel.run(arguments, threads), GRAFT_OK) << last_error();
    return out;
  }
  void check_exact(const Array& x, int64_t columns, bool with_bias, const std::string& what,
                   uint32_t threads = 1) {
    const Array weight = exact_weight(dtype(), columns, x.shape().back(), 11);
    const Array bias = Array(dtype(), {columns}).random(12);
    expect_close(graft_contract_linear_1, dtype(), product(values_of(x), weight, with_bias ? &bias : nullptr),
                 run(kernel(), x, weight, with_bias ? &bias : nullptr, threads), what);
  }
};

TEST_P(Int8LinearTest, QuantisesAndIsNeverChosenUnnamed) {
  EXPECT_EQ(
      kernel().entry().flags & (GRAFT_ENTRY_QUANTIZES | GRAFT_ENTRY_PREPACKS | GRAFT_ENTRY_HAS_BACKWARD),
      uint32_t(GRAFT_ENTRY_QUANTIZES | GRAFT_ENTRY_PREPACKS));
}

TEST_P(Int8LinearTest, EveryRowCountAcrossBothWays) {
  for (int64_t rows = 1; rows <= 20; ++rows)
    check_exact(Array(dtype(), {rows, 100}).random(uint32_t(rows)), 70, rows % 2 == 0,
                std::to_string(rows) + " rows");
  for (int64_t rows : {100, 193})
    for (uint32_t threads : {1, 2, 3})
      check_exact(Array(dtype(), {rows, 65}).random(uint32_t(rows)), 101, true,
                  std::to_string(rows) + " rows", threads);
}

TEST_P(Int8LinearTest, EveryDepthAndColumnCount) {
  for (int64_t rows : {1, 2, 3, 17})
    for (int64_t size :
         {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 130, 191, 257}) {
      check_exact(Array(dtype(), {rows, size}).random(uint32_t(size)), 19, true,
                  "depth " + std::to_string(size));
      check_exact(Array(dtype(), {rows, 19}).random(uint32_t(size)), size, false,
                  std::to_string(size) + " columns");
    }
}

TEST_P(Int8LinearTest, SizesOfARealModel) {
  for (int64_t rows : {1, 3, 25}) {
    check_exact(Array(dtype(), {1, rows, 576}).random(1), 192, false, "576 to 192", 2);
    check_exact(Array(dtype(), {1, rows, 1536}).random(1), 97, true, "1536 to 97", 3);
  }
}

TEST_P(Int8LinearTest, InputsOfAnyStrideAndAlignment) {
  for (int64_t rows : {3, 24}) {
    check_exact(Array::with_gaps(dtype(), {rows, 37}, 5).random(1), 21, true, "gaps");
    check_exact(Array::permuted(dtype(), {2, rows, 37}, {1, 0, 2}).random(2), 21, true, "permuted");
    check_exact(Array(dtype(), {rows, 37}, 1).random(3), 21, true, "off alignment");
  }
  check_exact(Array(dtype(), {37}).random(4), 21, true, "one dimension");
}

TEST_P(Int8LinearTest, WeightsOfAnyAlignment) {
  const Array x = Array(dtype(), {2, 70}).random(1), aligned = exact_weight(dtype(), 33, 70, 2);
  Array shifted(dtype(), {33, 70}, 1);
  for (int64_t i = 0; i < aligned.numel(); ++i) shifted.set(i, aligned.get(i));
  EXPECT_EQ(run(kernel(), x, shifted).bits(), run(kernel(), x, aligned).bits());
}

TEST_P(Int8LinearTest, EmptySizes) {
  for (int64_t rows : {2, 20}) {
    const Array x(dtype(), {rows, 0}), weight(dtype(), {5, 0}), bias = Array(dtype(), {5}).random(1);
    std::vector<double> expected;
    for (int64_t i = 0; i < rows * 5; ++i) expected.push_back(bias.get(i % 5));
    expect_close(graft_contract_linear_1, dtype(), expected, run(kernel(), x, weight, &bias), "depth 0");
    check_exact(Array(dtype(), {rows, 7}).random(1), 0, true, "no columns");
  }
  expect_close(graft_contract_linear_1, dtype(), {},
               run(kernel(), Array(dtype(), {0, 7}), exact_weight(dtype(), 5, 7, 1)), "no rows");
}

TEST_P(Int8LinearTest, ErrsByHalfAScaleForEachWeightAtMost) {
  constexpr int64_t kColumns = 40, kDepth = 200;
  // Rows and groups of very different sizes, so that a scale in a wrong place is seen.
  Array weight = Array(dtype(), {kColumns, kDepth}).random(5);
  for (int64_t i = 0; i < weight.numel(); ++i)
    weight.set(i, weight.get(i) * std::ldexp(1, -int(i / kDepth % 7) - 2 * int(i % kDepth / kGroup)));
  const double rounding = same(dtype(), kBfloat16) ? 0x1p-8 : 0x1p-18;  // of the result, and of float sums
  for (int64_t rows : {1, 4, 17, 100}) {
    const Array x = Array(dtype(), {rows, kDepth}).random(6);
    const Array out = run(kernel(), x, weight);
    const std::vector<double> expected = product(values_of(x), weight);
    double sum = 0;
    for (int64_t i = 0; i < out.numel(); ++i) {
      const int64_t row = i / kColumns, column = i % kColumns;
      double allowed = 0, size = 0;
      for (int64_t first = 0; first < kDepth; first += kGroup) {
        double largest = 0, xs = 0;
        for (int64_t k = first; k < std::min(kDepth, first + kGroup); ++k) {
          largest = std::max(largest, std::abs(weight.get(column * kDepth + k)));
          xs += std::abs(x.get(row * kDepth + k));
        }
        allowed += xs * scale_of(largest) / 2 * 1.001, size += xs * largest;
      }
      EXPECT_LE(std::abs(out.get(i) - expected[size_t(i)]), allowed + rounding * size) << "element " << i;
      sum += std::abs(out.get(i) - expected[size_t(i)]);
    }
    EXPECT_GT(sum, 0) << "nothing was rounded";
  }
}

TEST_P(Int8LinearTest, NanAndInfinityOfAnInputReachTheirRowAlone) {
  for (int64_t rows : {4, 30}) {
    Array x = Array(dtype(), {rows, 70}).random(1, 0.5, 1);
    x.set(1 * 70 + 69, kNan), x.set(2 * 70, kInfinity), x.set(3 * 70 + 64, -kInfinity);
    const Array weight = Array(dtype(), {20, 70}).fill(0.125);
    expect_close(graft_contract_linear_1, dtype(), product(values_of(x), weight), run(kernel(), x, weight),
                 "special");
  }
}

TEST_P(Int8LinearTest, TinyAndHugeNumbers) {
  constexpr double kDenormal = 0x1p-130;
  const auto check = [&](double x_value, double weight_value, double relative, const std::string& what) {
    for (int64_t rows : {2, 20}) {
      const Array x = Array(dtype(), {rows, 70}).fill(x_value),
                  weight = Array(dtype(), {3, 70}).fill(weight_value);
      const double expected = 70 * x.get(0) * weight.get(0);
      const Array out = run(kernel(), x, weight);
      for (int64_t i = 0; i < out.numel(); ++i)
        EXPECT_NEAR(out.get(i), expected, relative * std::abs(expected)) << what << ", " << rows << " rows";
    }
  };
  check(kDenormal, 1, 0.01, "denormal x");
  check(0x1p60, 0x1p-100, 0.01, "tiny weights");
  check(0x1p-100, 0x1p100, 0.01, "huge weights");
  check(0x1p60, 0, 0, "zeros");
  // Too small for a scale: zeros, which is off by less than anything that float would tell from zero beside
  // other weights.
  check(1, kDenormal, 1, "denormal weights");
}

// In float32 the largest of them are no bfloat16.
TEST_P(Int8LinearTest, ManyRowsOfHugeNumbers) {
  const Array x = Array(dtype(), {20, 70}).fill(0x1.fep127), weight = Array(dtype(), {3, 70}).fill(0x1p-100);
  Array largest = Array(dtype(), {20, 70}).fill(0x1.fep127);
  largest.set(70, std::numeric_limits<float>::max());
  for (const Array* one : {&x, same(dtype(), kBfloat16) ? &x : &largest})
    expect_close(graft_contract_linear_1, dtype(), product(values_of(*one), weight),
                 run(kernel(), *one, weight), "huge");
}

TEST_P(Int8LinearTest, RefusesWeightsThatAreNotFinite) {
  for (double bad : {kInfinity, -kInfinity, kNan})
    for (int64_t at : {0, 63, 64, 69, 3 * 70 + 69, 18 * 70}) {
      Array weight = Array(dtype(), {19, 70}).random(1);
      weight.set(at, bad);
      EXPECT_EQ(kernel().prepare({none(), weight.value(), none(), none()}), GRAFT_UNSUPPORTED)
          << bad << " at " << at;
      EXPECT_NE(last_error().find("infinite or not a number"), std::string::npos) << last_error();
    }
  // One that several threads pack.
  constexpr int64_t kColumns = 4000;
  for (int64_t row : {int64_t{0}, kColumns / 2, kColumns - 1}) {
    Array weight = Array(dtype(), {kColumns, 130}).random(1);
    weight.set(row * 130 + 129, kNan);
    EXPECT_EQ(kernel().prepare({none(), weight.value(), none(), none()}), GRAFT_UNSUPPORTED) << "row " << row;
    EXPECT_NE(last_error().find("infinite or not a number"), std::string::npos) << last_error();
  }
}

TEST_P(Int8LinearTest, TakesNewWeightsWhenPreparedAgain) {
  const Kernel one = kernel();
  const Array x = Array(dtype(), {2, 70}).random(1), before = exact_weight(dtype(), 20, 70, 2),
              after = exact_weight(dtype(), 20, 70, 3), bias = Array(dtype(), {20}).random(4);
  run(one, x, before, &bias);
  expect_close(graft_contract_linear_1, dtype(), product(values_of(x), after), run(one, x, after),
               "prepared again");
}

TEST_P(Int8LinearTest, SameBitsForAnyNumberOfThreads) {
  for (int64_t rows : {1, 16, 300}) {
    const Array x = Array(dtype(), {rows, 130}).random(1), weight = Array(dtype(), {1111, 130}).random(2);
    const std::vector<std::byte> first = run(kernel(), x, weight).bits();
    for (uint32_t threads : {2, 3, 16})
      EXPECT_EQ(run(kernel(), x, weight, nullptr, threads).bits(), first)
          << rows << " rows, " << threads << " threads";
  }
}

TEST_P(Int8LinearTest, OneInstanceServesManyThreadsAtOnce) {
  const Kernel shared = kernel();
  const Array x = Array(dtype(), {20, 64}).random(1), weight = exact_weight(dtype(), 70, 64, 2);
  const graft_value in[2] = {x.value(), weight.value()};
  std::vector<Array> outs(4, Array(dtype(), {20, 70}));
  ASSERT_EQ(shared.prepare({in[0], in[1], none(), none()}), GRAFT_OK);
  run_at_once(4, [&](int i) {
    for (int repeat = 0; repeat < 20; ++repeat)
      EXPECT_EQ(shared.run({in[0], in[1], none(), outs[size_t(i)].value()}, 2), GRAFT_OK);
  });
  for (const Array& out : outs)
    expect_close(graft_contract_linear_1, dtype(), product(values_of(x), weight), out, "concurrent");
}

class Int8SwiGLUMLPTest : public KernelTest {
 protected:
  struct Weights {
    Array gate, up, down;
  };
  Kernel kernel() const { return Kernel(file("mlp"), "Int8SwiGLUMLP", graft_contract_swiglu_mlp_1); }

  Weights exact(int64_t width, int64_t inner) const {
    return {exact_weight(dtype(), inner, width, 1), exact_weight(dtype(), inner, width, 2),
            exact_weight(dtype(), width, inner, 3)};
  }
  Weights random(int64_t width, int64_t inner) const {
    const double in = 2 / std::sqrt(double(width)), back = 1 / std::sqrt(double(inner));
    return {Array(dtype(), {inner, width}).random(1, -in, in),
            Array(dtype(), {inner, width}).random(2, -in, in),
            Array(dtype(), {width, inner}).random(3, -back, back)};
  }
  Array run(const Array& x, const Weights& weights, uint32_t threads = 1) const {
    Array out(dtype(), x.shape());
    const std::vector<graft_value> arguments = {
        x.value(), weights.gate.value(), weights.up.value(), weights.down.value(), out.value(), none(),
        none()};
    const Kernel one = kernel();
    EXPECT_EQ(one.prepare(arguments), GRAFT_OK) << last_error();
    EXPECT_EQ(one.run(arguments, threads), GRAFT_OK) << last_error();
    return out;
  }
  static std::vector<double> reference(const Array& x, const Weights& weights) {
    const std::vector<double> gates = product(values_of(x), weights.gate),
                              ups = product(values_of(x), weights.up);
    std::vector<double> hidden;
    for (size_t i = 0; i < gates.size(); ++i) hidden.push_back(gates[i] / (1 + std::exp(-gates[i])) * ups[i]);
    return product(hidden, weights.down);
  }
  void check_exact(const Array& x, int64_t inner, const std::string& what, uint32_t threads = 1) const {
    const Weights weights = exact(x.shape().back(), inner);
    expect_close(graft_contract_swiglu_mlp_1, dtype(), reference(x, weights), run(x, weights, threads), what);
  }
};

TEST_P(Int8SwiGLUMLPTest, EveryRowCountAcrossBothWays) {
  for (int64_t rows = 0; rows <= 20; ++rows)
    check_exact(Array(dtype(), {rows, 40}).random(uint32_t(rows)), 100, std::to_string(rows) + " rows");
  for (uint32_t threads : {1, 2, 3})
    check_exact(Array(dtype(), {100, 33}).random(7), 70, "100 rows", threads);
}

TEST_P(Int8SwiGLUMLPTest, EverySmallWidth) {
  for (int64_t rows : {1, 18})
    for (int64_t size : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130}) {
      check_exact(Array(dtype(), {rows, size}).random(uint32_t(size)), 11, "width " + std::to_string(size));
      check_exact(Array(dtype(), {rows, 11}).random(uint32_t(size)), size, "inner " + std::to_string(size));
    }
}

TEST_P(Int8SwiGLUMLPTest, InputsOfAnyStride) {
  for (int64_t rows : {3, 24}) {
    check_exact(Array::with_gaps(dtype(), {rows, 20}, 5).random(1), 30, "gaps");
    check_exact(Array::permuted(dtype(), {2, rows, 20}, {1, 0, 2}).random(2), 30, "permuted");
    check_exact(Array(dtype(), {rows, 20}, 1).random(3), 30, "off alignment");
  }
}

TEST_P(Int8SwiGLUMLPTest, ErrsByWhatEntriesThatQuantiseMay) {
  for (int64_t rows : {1, 18}) {
    const Array x = Array(dtype(), {rows, 576}).random(4);
    const Weights weights = random(576, 1536);
    const std::vector<double> expected = reference(x, weights);
    const Array out = run(x, weights, 2);
    double error = 0, size = 0;
    for (int64_t i = 0; i < out.numel(); ++i) {
      error += std::pow(out.get(i) - expected[size_t(i)], 2), size += std::pow(expected[size_t(i)], 2);
    }
    EXPECT_LT(std::sqrt(error / size), graft_quantized_tolerance) << rows << " rows";
    EXPECT_GT(error, 0) << "nothing was rounded";
  }
}

TEST_P(Int8SwiGLUMLPTest, NanStaysInItsRow) {
  for (int64_t rows : {4, 30}) {
    Array x = Array(dtype(), {rows, 24}).random(1);
    x.set(24 + 23, kNan);
    check_exact(x, 32, "NaN");
  }
}

TEST_P(Int8SwiGLUMLPTest, RefusesWeightsThatAreNotFinite) {
  for (int which = 0; which < 3; ++which) {
    Weights weights = exact(20, 30);
    (which == 0 ? weights.gate : which == 1 ? weights.up : weights.down).set(599, kInfinity);
    EXPECT_EQ(kernel().prepare({none(), weights.gate.value(), weights.up.value(), weights.down.value(),
                                none(), none(), none()}),
              GRAFT_UNSUPPORTED);
  }
}

TEST_P(Int8SwiGLUMLPTest, LeavesACallThatSavesForBackwardToTheLayer) {
  const Weights weights = exact(20, 30);
  const Array x(dtype(), {2, 20}), between(dtype(), {2, 30});
  const std::vector<graft_value> arguments = {
      x.value(), weights.gate.value(), weights.up.value(), weights.down.value(),
      x.value(), between.value(),      between.value()};
  const Kernel one = kernel();
  ASSERT_EQ(one.prepare(arguments), GRAFT_OK);
  EXPECT_EQ(one.run(arguments), GRAFT_UNSUPPORTED);
}

TEST_P(Int8SwiGLUMLPTest, SameBitsForAnyNumberOfThreads) {
  for (int64_t rows : {1, 16, 200}) {
    const Array x = Array(dtype(), {rows, 96}).random(1);
    const Weights weights = random(96, 800);
    const std::vector<std::byte> first = run(x, weights).bits();
    for (uint32_t threads : {2, 3, 16})
      EXPECT_EQ(run(x, weights, threads).bits(), first) << rows << " rows, " << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Plugins, Int8LinearTest, testing::ValuesIn(float_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Plugins, Int8SwiGLUMLPTest, testing::ValuesIn(float_cases()), case_name);

}  // namespace
}  // namespace graft::test
