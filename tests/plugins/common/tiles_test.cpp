// Products of bfloat16 on each unit that has them, against sums in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tile_products.h"

namespace graft::test {
namespace {

float to_float(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}
uint16_t to_bits(float x) {
  return uint16_t(std::bit_cast<uint32_t>(x) >> 16);
}

std::vector<uint16_t> random_bits(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> bits(static_cast<size_t>(count));
  for (uint16_t& b : bits) b = to_bits(normal(engine));
  return bits;
}

class TilesTest : public testing::TestWithParam<Unit> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this processor does not have it";
  }
};

TEST_P(TilesTest, MultipliesAnySizesAndAdds) {
  struct Size {
    int64_t rows, columns, depth;
  };
  for (const auto& [rows, columns, depth] :
       {Size{1, 1, 1}, Size{8, 32, 32}, Size{9, 33, 31}, Size{39, 70, 100}, Size{96, 96, 576}}) {
    const std::vector<uint16_t> left = random_bits(rows * depth, 1), right = random_bits(columns * depth, 2);
    for (const bool add : {false, true}) {
      std::vector<float> c(size_t(rows * columns), 3);
      multiply(GetParam(), rows, columns, depth, left.data(), right.data(), c.data(), add);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
          double sum = add ? 3 : 0, size = 3;
          for (int64_t k = 0; k < depth; ++k) {
            const double product =
                double(to_float(left[size_t(row * depth + k)])) * to_float(right[size_t(column * depth + k)]);
            sum += product, size += std::abs(product);
          }
          ASSERT_NEAR(c[size_t(row * columns + column)], sum, 1e-6 * size)
              << rows << " x " << columns << " x " << depth << " at " << row << ", " << column
              << (add ? ", added" : "");
        }
    }
  }
}

TEST_P(TilesTest, KeepsAnInfinityAndANanInTheirRow) {
  constexpr int64_t kRows = 3, kColumns = 5, kDepth = 40;
  std::vector<uint16_t> left(kRows * kDepth, to_bits(1)), right(kColumns * kDepth, to_bits(1));
  left[7] = to_bits(std::numeric_limits<float>::infinity());
  left[kDepth + 7] = to_bits(std::numeric_limits<float>::quiet_NaN());
  std::vector<float> c(kRows * kColumns);
  multiply(GetParam(), kRows, kColumns, kDepth, left.data(), right.data(), c.data(), false);
  for (size_t column = 0; column < kColumns; ++column) {
    EXPECT_EQ(c[column], std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(c[kColumns + column]));
    EXPECT_EQ(c[2 * kColumns + column], kDepth);
  }
}

TEST_P(TilesTest, TakesDenormalNumbersForZeros) {
  const uint16_t denormal = 1, one = to_bits(1);
  float c = 0;
  multiply(GetParam(), 1, 1, 1, &denormal, &one, &c, false);
  EXPECT_EQ(c, 0);
}

INSTANTIATE_TEST_SUITE_P(Units, TilesTest, testing::Values(Unit::amx, Unit::avx512_bf16),
                         [](const auto& unit) { return unit.param == Unit::amx ? "Amx" : "Avx512Bf16"; });

}  // namespace
}  // namespace graft::test
