// SwiGLUMLP against its definition in double precision.
#include <graft/contracts/swiglu_mlp.h>

#include <cmath>

#include "gradients.h"

namespace graft::test {
namespace {

struct Expected {
  std::vector<double> out, gate, up;
};

class SwiGLUMLPTest : public KernelTest {
 protected:
  Kernel kernel() const { return Kernel(file("mlp"), "SwiGLUMLP", graft_contract_swiglu_mlp_1); }

  static std::vector<double> product(const std::vector<double>& x, int64_t depth, const Array& weight) {
    const int64_t columns = weight.shape()[0], rows = depth == 0 ? 0 : int64_t(x.size()) / depth;
    std::vector<double> w, out;
    for (int64_t i = 0; i < weight.numel(); ++i) w.push_back(weight.get(i));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k) sum += x[size_t(row * depth + k)] * w[size_t(column * depth + k)];
        out.push_back(sum);
      }
    return out;
  }

  void check(const Array& x, int64_t intermediate, bool saved, const std::string& what,
             uint32_t threads = 1) {
    const int64_t width = x.shape().back();
    const double in = 2 / std::sqrt(double(width)), back = 1 / std::sqrt(double(intermediate));
    const Array gate = Array(dtype(), {intermediate, width}).random(1, -in, in);
    const Array up = Array(dtype(), {intermediate, width}).random(2, -in, in);
    const Array down = Array(dtype(), {width, intermediate}).random(3, -back, back);
    std::vector<int64_t> between_shape = x.shape();
    between_shape.back() = intermediate;
    Array out(dtype(), x.shape()), gate_out(dtype(), between_shape), up_out(dtype(), between_shape);
    ASSERT_EQ(kernel().run({x.value(), gate.value(), up.value(), down.value(), out.value(),
                            saved ? gate_out.value() : none(), saved ? up_out.value() : none()},
                           threads),
              GRAFT_OK)
        << last_error();
    std::vector<double> xs, hidden;
    for (int64_t i = 0; i < x.numel(); ++i) xs.push_back(x.get(i));
    const std::vector<double> gates = product(xs, width, gate), ups = product(xs, width, up);
    for (size_t i = 0; i < gates.size(); ++i) hidden.push_back(gates[i] / (1 + std::exp(-gates[i])) * ups[i]);
    expect_close(graft_contract_swiglu_mlp_1, dtype(), product(hidden, intermediate, down), out, what);
    if (!saved) return;
    expect_close(graft_contract_swiglu_mlp_1, dtype(), gates, gate_out, what + " gate_out");
    expect_close(graft_contract_swiglu_mlp_1, dtype(), ups, up_out, what + " up_out");
  }
};

TEST_P(SwiGLUMLPTest, EveryRowCountAcrossBothWays) {
  for (int64_t rows = 0; rows <= 40; ++rows)
    check(Array(dtype(), {rows, 40}).random(uint32_t(rows)), 100, rows % 2 == 0,
          std::to_string(rows) + " rows");
  for (int64_t rows : {64, 200, 513})
    for (uint32_t threads : {1, 2, 3})
      check(Array(dtype(), {rows, 33}).random(uint32_t(rows)), 70, true, std::to_string(rows) + " rows",
            threads);
}

TEST_P(SwiGLUMLPTest, EverySmallWidth) {
  for (int64_t rows : {1, 18})
    for (int64_t size = 1; size <= 33; ++size) {
      check(Array(dtype(), {rows, size}).random(uint32_t(size)), 11, true, "width " + std::to_string(size));
      check(Array(dtype(), {rows, 11}).random(uint32_t(size)), size, true,
            "intermediate " + std::to_string(size));
    }
}

TEST_P(SwiGLUMLPTest, SizesOfARealModel) {
  for (int64_t rows : {1, 18})
    check(Array(dtype(), {1, rows, 576}).random(4), 1536, true, std::to_string(rows) + " rows", 2);
}

TEST_P(SwiGLUMLPTest, InputsOfAnyStride) {
  for (int64_t rows : {3, 24}) {
    check(Array::with_gaps(dtype(), {rows, 20}, 5).random(1), 30, false, "gaps");
    check(Array::permuted(dtype(), {2, rows, 20}, {1, 0, 2}).random(2), 30, false, "permuted");
  }
}

TEST_P(SwiGLUMLPTest, NanStaysInItsRow) {
  for (int64_t rows : {4, 30}) {
    Array x = Array(dtype(), {rows, 24}).random(1);
    x.set(24 + 23, std::nan(""));
    check(x, 32, true, "NaN");
  }
}

TEST_P(SwiGLUMLPTest, SameBitsForAnyNumberOfThreads) {
  for (int64_t rows : {1, 16, 200}) {
    const Array x = Array(dtype(), {rows, 96}).random(1), gate = Array(dtype(), {800, 96}).random(2),
                up = Array(dtype(), {800, 96}).random(3), down = Array(dtype(), {96, 800}).random(4);
    std::vector<std::byte> first;
    for (uint32_t threads : {1, 2, 3, 16}) {
      Array out(dtype(), {rows, 96});
      ASSERT_EQ(kernel().run({x.value(), gate.value(), up.value(), down.value(), out.value(), none(), none()},
                             threads),
                GRAFT_OK);
      if (first.empty()) first = out.bits();
      EXPECT_EQ(out.bits(), first) << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(SwiGLUMLPTest, GradientsWithAndWithoutWhatForwardSaved) {
  const auto check_backward = [&](const Array& x, int64_t intermediate, const std::string& what) {
    const int64_t width = x.shape().back();
    const double in = 2 / std::sqrt(double(width)), back = 1 / std::sqrt(double(intermediate));
    std::vector<int64_t> between = x.shape();
    between.back() = intermediate;
    check_gradients(kernel(),
                    {{x, Array(dtype(), {intermediate, width}).random(1, -in, in),
                      Array(dtype(), {intermediate, width}).random(2, -in, in),
                      Array(dtype(), {width, intermediate}).random(3, -back, back)},
                     {Array(dtype(), x.shape()), Array(dtype(), between), Array(dtype(), between)},
                     0b1111},
                    what, 4);
  };
  for (int64_t rows : {0, 1, 17, 200})
    check_backward(Array(dtype(), {rows, 33}).random(1), 101, std::to_string(rows) + " rows");
  for (int64_t size : {1, 7, 8, 16, 31}) {
    check_backward(Array(dtype(), {3, size}).random(2), 11, "width " + std::to_string(size));
    check_backward(Array(dtype(), {3, 11}).random(3), size, "intermediate " + std::to_string(size));
  }
  check_backward(Array::with_gaps(dtype(), {9, 20}, 5).random(4), 30, "gaps");
  check_backward(Array::permuted(dtype(), {2, 19, 20}, {1, 0, 2}).random(5), 30, "permuted");
}

TEST_P(SwiGLUMLPTest, WorkspaceGrowsWithEveryDimension) {
  const auto size = [&](int64_t rows, int64_t width, int64_t intermediate, uint32_t threads) {
    const Array x(dtype(), {rows, width}), in(dtype(), {intermediate, width}),
        back(dtype(), {width, intermediate});
    const auto bytes = [&](uint32_t pass) {
      return kernel().workspace({x.value(), in.value(), in.value(), back.value(), x.value(), none(), none()},
                                threads, pass);
    };
    return std::pair(bytes(GRAFT_WORKSPACE_FORWARD), bytes(GRAFT_WORKSPACE_BACKWARD));
  };
  const auto expect_not_less = [](std::pair<size_t, size_t> a, std::pair<size_t, size_t> b) {
    EXPECT_LE(a.first, b.first);
    EXPECT_LE(a.second, b.second);
  };
  for (int64_t n = 1; n < 40; ++n) {
    expect_not_less(size(n, 20, 30, 2), size(n + 1, 20, 30, 2));
    expect_not_less(size(20, n, 30, 2), size(20, n + 1, 30, 2));
    expect_not_less(size(20, 20, n, 2), size(20, 20, n + 1, 2));
    expect_not_less(size(20, 20, 30, uint32_t(n)), size(20, 20, 30, uint32_t(n) + 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Plugins, SwiGLUMLPTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
