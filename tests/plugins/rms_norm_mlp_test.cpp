// RMSNormMLP against its definition in double precision, and against the two kernels that it is made of.
#include <graft/contracts/rms_norm.h>
#include <graft/contracts/rms_norm_mlp.h>
#include <graft/contracts/swiglu_mlp.h>

#include <cmath>

#include "gradients.h"

namespace graft::test {
namespace {

constexpr double kEps = 1e-5;

class RMSNormMLPTest : public KernelTest {
 protected:
  struct Weights {
    Array norm, gate, up, down;
  };

  Kernel kernel() const { return Kernel(file("mlp"), "RMSNormMLP", graft_contract_rms_norm_mlp_1, {number(kEps)}); }

  Weights weights(int64_t width, int64_t intermediate) const {
    const double in = 1 / std::sqrt(double(width)), back = 1 / std::sqrt(double(intermediate));
    return {Array(dtype(), {width}).random(7, 0.5, 1.5), Array(dtype(), {intermediate, width}).random(1, -in, in),
            Array(dtype(), {intermediate, width}).random(2, -in, in), Array(dtype(), {width, intermediate}).random(3, -back, back)};
  }

  Array run(const Array& x, const Weights& w, uint32_t threads = 1) const {
    Array out(dtype(), x.shape());
    EXPECT_EQ(kernel().run({x.value(), w.norm.value(), w.gate.value(), w.up.value(), w.down.value(), out.value()}, threads), GRAFT_OK)
        << last_error();
    return out;
  }

  static std::vector<double> times(const std::vector<double>& rows, int64_t depth, const Array& weight) {
    std::vector<double> out;
    for (size_t row = 0; row * size_t(depth) < rows.size(); ++row)
      for (int64_t column = 0; column < weight.shape()[0]; ++column) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k) sum += rows[row * size_t(depth) + size_t(k)] * weight.get(column * depth + k);
        out.push_back(sum);
      }
    return out;
  }

  void check(const Array& x, int64_t intermediate, const std::string& what, uint32_t threads = 1) const {
    const int64_t width = x.shape().back();
    const Weights w = weights(width, intermediate);
    const Array out = run(x, w, threads);
    std::vector<double> normed;
    for (int64_t row = 0; row < x.numel() / width; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < width; ++i) squares += x.get(row * width + i) * x.get(row * width + i);
      const double r = 1 / std::sqrt(squares / double(width) + kEps);
      for (int64_t i = 0; i < width; ++i) normed.push_back(x.get(row * width + i) * r * w.norm.get(i));
    }
    std::vector<double> hidden = times(normed, width, w.gate);
    const std::vector<double> ups = times(normed, width, w.up);
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] *= ups[i] / (1 + std::exp(-hidden[i]));
    expect_close(graft_contract_rms_norm_mlp_1, dtype(), times(hidden, intermediate, w.down), out, what);
  }
};

TEST_P(RMSNormMLPTest, AnySizeAndStride) {
  for (int64_t rows : {0, 1, 2, 16, 17, 40}) check(Array(dtype(), {rows, 40}).random(uint32_t(rows)), 100, std::to_string(rows) + " rows");
  for (int64_t size : {1, 7, 8, 9, 31, 33}) {
    check(Array(dtype(), {3, size}).random(4), 11, "width " + std::to_string(size));
    check(Array(dtype(), {18, 11}).random(5), size, "intermediate " + std::to_string(size));
  }
  for (int64_t rows : {3, 24}) {
    check(Array::with_gaps(dtype(), {rows, 20}, 5).random(1), 30, "gaps");
    check(Array::permuted(dtype(), {2, rows, 20}, {1, 0, 2}).random(2), 30, "permuted", 3);
  }
  check(Array(dtype(), {1, 18, 576}).random(6), 1536, "sizes of a real model", 2);
}

TEST_P(RMSNormMLPTest, GivesTheBitsOfItsMembersOneAfterTheOther) {
  for (int64_t rows : {1, 5, 16, 90}) {
    const Array x = Array(dtype(), {rows, 96}).random(uint32_t(rows));
    const Weights w = weights(96, 200);
    Array normed(dtype(), x.shape()), out(dtype(), x.shape());
    const Kernel norm(file("norm"), "RMSNorm", graft_contract_rms_norm_1, {number(kEps)});
    const Kernel mlp(file("mlp"), "SwiGLUMLP", graft_contract_swiglu_mlp_1);
    ASSERT_EQ(norm.run({x.value(), w.norm.value(), normed.value(), none()}), GRAFT_OK);
    ASSERT_EQ(mlp.run({normed.value(), w.gate.value(), w.up.value(), w.down.value(), out.value(), none(), none()}), GRAFT_OK);
    for (uint32_t threads : {1, 2, 3}) EXPECT_EQ(run(x, w, threads).bits(), out.bits()) << rows << " rows, " << threads << " threads";
  }
}

TEST_P(RMSNormMLPTest, Gradients) {
  const auto check_backward = [&](const Array& x, int64_t intermediate, const std::string& what) {
    const Weights w = weights(x.shape().back(), intermediate);
    check_gradients(kernel(), {{x, w.norm, w.gate, w.up, w.down}, {Array(dtype(), x.shape())}, 0b11111}, what, 4);
  };
  for (int64_t rows : {0, 1, 17}) check_backward(Array(dtype(), {rows, 33}).random(1), 41, std::to_string(rows) + " rows");
  check_backward(Array(dtype(), {3, 8}).random(2), 11, "width 8");
  check_backward(Array::with_gaps(dtype(), {9, 20}, 5).random(4), 30, "gaps");
}

TEST_P(RMSNormMLPTest, WorkspaceGrowsWithEveryDimension) {
  const auto size = [&](int64_t rows, int64_t width, int64_t intermediate, uint32_t threads, uint32_t pass) {
    const Array x(dtype(), {rows, width}), norm(dtype(), {width}), in(dtype(), {intermediate, width}), back(dtype(), {width, intermediate});
    return kernel().workspace({x.value(), norm.value(), in.value(), in.value(), back.value(), x.value()}, threads, pass);
  };
  for (uint32_t pass : {GRAFT_WORKSPACE_FORWARD, GRAFT_WORKSPACE_BACKWARD})
    for (int64_t n = 1; n < 40; ++n) {
      EXPECT_LE(size(n, 20, 30, 2, pass), size(n + 1, 20, 30, 2, pass));
      EXPECT_LE(size(20, n, 30, 2, pass), size(20, n + 1, 30, 2, pass));
      EXPECT_LE(size(20, 20, n, 2, pass), size(20, 20, n + 1, 2, pass));
      EXPECT_LE(size(20, 20, 30, uint32_t(n), pass), size(20, 20, 30, uint32_t(n) + 1, pass));
    }
}

INSTANTIATE_TEST_SUITE_P(Plugins, RMSNormMLPTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
