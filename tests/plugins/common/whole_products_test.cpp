// Products of whole numbers by AVX512_VNNI against sums in double.
#include "whole_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace graft::test {
namespace {

class WholeProductsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_vnni()) GTEST_SKIP() << "this processor does not have AVX512_VNNI";
  }
};

/// Multiples of 1/8 up to 127/8, of which each 64 along a row have the largest: what 8 bits hold exactly.
std::vector<float> whole_weight(int64_t columns, int64_t depth) {
  std::mt19937 engine(1);
  std::uniform_int_distribution<int> whole(-127, 127);
  std::vector<float> weight;
  for (int64_t i = 0; i < columns * depth; ++i)
    weight.push_back(float(i % depth % 64 == 0 ? 127 : whole(engine)) / 8);
  return weight;
}

TEST_F(WholeProductsTest, AnySizes) {
  struct Size {
    int64_t rows, columns, depth;
  };
  for (const auto& [rows, columns, depth] :
       {Size{1, 1, 1}, Size{5, 32, 63}, Size{6, 33, 64}, Size{11, 64, 65}, Size{23, 97, 126},
        Size{96, 200, 576}, Size{4, 3, 0}}) {
    std::mt19937 engine(2);
    std::normal_distribution<float> normal;
    std::vector<float> x;
    // Groups of very different sizes, so that a scale in a wrong place is seen.
    for (int64_t i = 0; i < rows * depth; ++i)
      x.push_back(std::ldexp(normal(engine), int(i % depth / 64 * 5 + i / depth % 3)));
    const std::vector<float> weight = whole_weight(columns, depth);
    std::vector<float> out(size_t(rows * columns), 7);
    ASSERT_TRUE(multiply_whole(rows, columns, depth, x.data(), weight.data(), out.data()));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        double sum = 0, allowed = 0;
        for (int64_t first = 0; first < depth; first += 64) {
          double largest = 0, weights = 0;
          for (int64_t k = first; k < std::min(depth, first + 64); ++k) {
            const double value = x[size_t(row * depth + k)], factor = weight[size_t(column * depth + k)];
            sum += value * factor;
            largest = std::max(largest, std::abs(value)), weights += std::abs(factor);
          }
          allowed += largest * weights * (0.5 / 32639 + 1e-6);
        }
        ASSERT_NEAR(out[size_t(row * columns + column)], sum, allowed)
            << rows << " x " << columns << " x " << depth << " at " << row << ", " << column;
      }
  }
}

TEST_F(WholeProductsTest, LargestSumsOfAGroupFit) {
  constexpr int64_t kDepth = 64;
  for (const float sign : {1.0f, -1.0f}) {
    const std::vector<float> x(kDepth, 3), weight(kDepth, sign * 127);
    float out = 0;
    ASSERT_TRUE(multiply_whole(1, 1, kDepth, x.data(), weight.data(), &out));
    EXPECT_NEAR(out, sign * 3 * 127 * kDepth, 0.01f);
  }
}

TEST_F(WholeProductsTest, LeavesWhatIsInfiniteNoNumberOrTinyToFloats) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(), 0x1p-120f}) {
    std::vector<float> x(3 * 70, bad == 0x1p-120f ? 0.0f : 1.0f);
    x[70 + 65] = bad;
    const std::vector<float> weight = whole_weight(2, 70);
    float out[6];
    EXPECT_FALSE(multiply_whole(3, 2, 70, x.data(), weight.data(), out)) << bad;
  }
}

}  // namespace
}  // namespace graft::test
