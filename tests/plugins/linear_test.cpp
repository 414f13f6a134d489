// Linear against its definition in double precision.
#include <graft/contracts/linear.h>

#include <cmath>

#include "gradients.h"

namespace graft::test {
namespace {

class LinearTest : public KernelTest {
 protected:
  Kernel kernel() const { return Kernel(file("linear"), "Linear", graft_contract_linear_1); }

  std::vector<double> reference(const Array& x, const Array& weight, const Array* bias) {
    const int64_t columns = weight.shape()[0], depth = weight.shape()[1];
    const int64_t rows = x.numel() == 0 && depth > 0 ? 0 : rows_of(x);
    std::vector<double> xs, ws, out;
    for (int64_t i = 0; i < x.numel(); ++i) xs.push_back(x.get(i));
    for (int64_t i = 0; i < weight.numel(); ++i) ws.push_back(weight.get(i));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        double sum = bias != nullptr ? bias->get(column) : 0;
        for (int64_t k = 0; k < depth; ++k)
          sum += xs[size_t(row * depth + k)] * ws[size_t(column * depth + k)];
        out.push_back(sum);
      }
    return out;
  }
  static int64_t rows_of(const Array& x) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < x.shape().size(); ++i) rows *= x.shape()[i];
    return rows;
  }

  void check(const Array& x, int64_t columns, bool with_bias, const std::string& what, uint32_t threads = 1) {
    const int64_t depth = x.shape().back();
    const double bound = 1 / std::sqrt(double(std::max<int64_t>(1, depth)));
    const Array weight = Array(dtype(), {columns, depth}).random(11, -bound, bound);
    const Array bias = Array(dtype(), {columns}).random(12);
    std::vector<int64_t> shape = x.shape();
    shape.back() = columns;
    Array out(dtype(), shape);
    ASSERT_EQ(
        kernel().run({x.value(), weight.value(), with_bias ? bias.value() : none(), out.value()}, threads),
        GRAFT_OK)
        << last_error();
    expect_close(graft_contract_linear_1, dtype(), reference(x, weight, with_bias ? &bias : nullptr), out,
                 what);
  }
};

TEST_P(LinearTest, EveryRowCountAcrossBothWays) {
  for (int64_t rows = 0; rows <= 40; ++rows)
    check(Array(dtype(), {rows, 96}).random(uint32_t(rows)), 50, rows % 2 == 0,
          std::to_string(rows) + " rows");
  for (int64_t rows : {48, 49, 64, 97, 200, 513})
    for (uint32_t threads : {1, 2, 3})
      check(Array(dtype(), {rows, 65}).random(uint32_t(rows)), 101, true, std::to_string(rows) + " rows",
            threads);
}

TEST_P(LinearTest, EveryWidthAndColumnCount) {
  for (int64_t rows : {1, 2, 33})
    for (int64_t size = 1; size <= 33; ++size) {
      check(Array(dtype(), {rows, size}).random(uint32_t(size)), 19, true, "depth " + std::to_string(size));
      check(Array(dtype(), {rows, 19}).random(uint32_t(size)), size, false,
            std::to_string(size) + " columns");
    }
}

TEST_P(LinearTest, SizesOfARealModelAndDepthBeyondOneBlock) {
  for (int64_t rows : {1, 3, 25}) {
    check(Array(dtype(), {1, rows, 576}).random(1), 192, false, "576 to 192", 2);
    check(Array(dtype(), {1, rows, 1536}).random(1), 97, true, "1536 to 97", 3);
  }
}

TEST_P(LinearTest, InputsOfAnyStrideAndAlignment) {
  for (int64_t rows : {3, 24}) {
    check(Array::with_gaps(dtype(), {rows, 37}, 5).random(1), 21, true, "gaps");
    check(Array::permuted(dtype(), {2, rows, 37}, {1, 0, 2}).random(2), 21, true, "permuted");
    check(Array(dtype(), {rows, 37}, 1).random(3), 21, true, "off alignment");
  }
  check(Array(dtype(), {37}).random(4), 21, true, "one dimension");
}

TEST_P(LinearTest, EmptySizes) {
  for (int64_t rows : {2, 20}) {
    check(Array(dtype(), {rows, 0}), 5, true, "depth 0");
    check(Array(dtype(), {rows, 7}).random(1), 0, true, "no columns");
  }
}

TEST_P(LinearTest, NanAndInfinityReachTheirRowAndColumnAlone) {
  for (int64_t rows : {4, 30}) {
    Array x = Array(dtype(), {rows, 50}).random(1, 0.5, 1);
    x.set(2 * 50 + 49, std::nan("")), x.set(3 * 50, HUGE_VAL);
    const Array weight = Array(dtype(), {20, 50}).random(2, 0.01, 0.02);
    Array out(dtype(), {rows, 20});
    ASSERT_EQ(kernel().run({x.value(), weight.value(), none(), out.value()}), GRAFT_OK);
    expect_close(graft_contract_linear_1, dtype(), reference(x, weight, nullptr), out, "special values");
  }
}

TEST_P(LinearTest, SameBitsForAnyNumberOfThreads) {
  for (int64_t rows : {1, 16, 300}) {
    const Array x = Array(dtype(), {rows, 130}).random(1), weight = Array(dtype(), {1111, 130}).random(2);
    std::vector<std::byte> first;
    for (uint32_t threads : {1, 2, 3, 16}) {
      Array out(dtype(), {rows, 1111});
      ASSERT_EQ(kernel().run({x.value(), weight.value(), none(), out.value()}, threads), GRAFT_OK);
      if (first.empty()) first = out.bits();
      EXPECT_EQ(out.bits(), first) << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(LinearTest, WorkspaceGrowsWithEveryDimension) {
  const auto size = [&](int64_t rows, int64_t columns, int64_t depth, uint32_t threads) {
    const Array x(dtype(), {rows, depth}), weight(dtype(), {columns, depth}), out(dtype(), {rows, columns});
    return kernel().workspace({x.value(), weight.value(), none(), out.value()}, threads);
  };
  for (int64_t rows = 1; rows < 40; ++rows) EXPECT_LE(size(rows, 50, 60, 2), size(rows + 1, 50, 60, 2));
  for (int64_t depth = 1; depth < 40; ++depth) EXPECT_LE(size(30, 50, depth, 2), size(30, 50, depth + 1, 2));
  for (int64_t columns = 1; columns < 60; ++columns)
    EXPECT_LE(size(30, columns, 9, 2), size(30, columns + 1, 9, 2));
  EXPECT_LE(size(30, 50, 60, 2), size(30, 50, 60, 3));
}

TEST_P(LinearTest, GradientsAcrossBlocksStridesAndEmptySizes) {
  const auto check_backward = [&](const Array& x, int64_t columns, bool with_bias, const std::string& what) {
    const int64_t depth = x.shape().back();
    const double bound = 1 / std::sqrt(double(std::max<int64_t>(1, depth)));
    std::vector<int64_t> shape = x.shape();
    shape.back() = columns;
    Differentiated call{{x, Array(dtype(), {columns, depth}).random(1, -bound, bound), std::nullopt},
                        {Array(dtype(), shape)},
                        0b011};
    if (with_bias) call.inputs[2] = Array(dtype(), {columns}).random(2), call.differentiable = 0b111;
    check_gradients(kernel(), call, what, 4);
  };
  for (int64_t rows : {0, 1, 2, 17, 193, 300})  // blocks are 192 rows, 96 columns, 256 deep
    check_backward(Array(dtype(), {rows, 37}).random(1), 101, rows % 2 == 0, std::to_string(rows) + " rows");
  for (int64_t size : {1, 3, 8, 15, 16, 17, 96, 97, 259}) {
    check_backward(Array(dtype(), {5, size}).random(2), 7, true, "depth " + std::to_string(size));
    check_backward(Array(dtype(), {5, 7}).random(3), size, true, std::to_string(size) + " columns");
  }
  check_backward(Array::with_gaps(dtype(), {20, 37}, 5).random(1), 21, true, "gaps");
  check_backward(Array::permuted(dtype(), {2, 30, 37}, {1, 0, 2}).random(2), 21, true, "permuted");
  check_backward(Array(dtype(), {37}).random(4), 21, true, "one dimension");
  check_backward(Array(dtype(), {2, 0}), 5, true, "depth 0");
  check_backward(Array(dtype(), {2, 7}).random(1), 0, true, "no columns");
}

TEST_P(LinearTest, WorkspaceOfBackwardIsTheSameForEverySize) {
  const auto size = [&](int64_t rows, int64_t columns, int64_t depth) {
    const Array x(dtype(), {rows, depth}), weight(dtype(), {columns, depth});
    return kernel().workspace({x.value(), weight.value(), none(), none()}, 2, GRAFT_WORKSPACE_BACKWARD);
  };
  EXPECT_EQ(size(1, 1, 1), size(500, 300, 200));
}

TEST_P(LinearTest, OneInstanceServesManyThreadsAtOnce) {
  const Kernel shared = kernel();
  const Array x = Array(dtype(), {20, 64}).random(1), weight = Array(dtype(), {70, 64}).random(2, -0.1, 0.1);
  const std::vector<double> expected = reference(x, weight, nullptr);
  const graft_value in[2] = {x.value(), weight.value()};
  std::vector<Array> outs(4, Array(dtype(), {20, 70}));
  run_at_once(4, [&](int i) {
    for (int repeat = 0; repeat < 20; ++repeat)
      EXPECT_EQ(shared.run({in[0], in[1], none(), outs[size_t(i)].value()}, 2), GRAFT_OK);
  });
  for (const Array& out : outs) expect_close(graft_contract_linear_1, dtype(), expected, out, "concurrent");
}

INSTANTIATE_TEST_SUITE_P(Plugins, LinearTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
