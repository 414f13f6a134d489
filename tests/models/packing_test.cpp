#include "packing.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "golden.h"

namespace graft {
namespace {

at::Tensor mask(const nlohmann::json& rows) { return testing::ids(rows).to(at::kBool); }

TEST(Packing, TakesTheRealTokensAndPutsThemBack) {
  const auto packing = Packing::of(mask({{0, 0, 1, 1}, {1, 1, 1, 0}, {0, 0, 0, 0}, {1, 1, 1, 1}}));
  ASSERT_TRUE(packing);
  EXPECT_TRUE(packing->cu_seqlens().equal(at::tensor({0, 2, 5, 5, 9}, at::kInt)));
  const at::Tensor x = at::randn({4, 4, 2, 3});
  const at::Tensor packed = packing->pack(x);
  EXPECT_TRUE(packed.equal(at::cat({x[0].narrow(0, 2, 2), x[1].narrow(0, 0, 3), x[3]})));
  at::Tensor expected = x.clone();
  expected[0].narrow(0, 0, 2).zero_();
  expected[1][3].zero_();
  expected[2].zero_();
  EXPECT_TRUE(packing->unpack(packed).equal(expected));
}

TEST(Packing, OfFullRowsIsTheBatchItself) {
  const auto packing = Packing::of(mask({{1, 1, 1}, {1, 1, 1}}));
  ASSERT_TRUE(packing);
  const at::Tensor x = at::randn({2, 3, 4, 5});
  EXPECT_TRUE(packing->pack(x).equal(x.view({6, 4, 5})));
  EXPECT_TRUE(packing->unpack(packing->pack(x)).equal(x));
}

TEST(Packing, IsNotOfAMaskWithGaps) {
  EXPECT_FALSE(Packing::of(mask({{1, 1, 1}, {1, 0, 1}})));
  EXPECT_FALSE(Packing::of(mask({{0, 1, 0, 1}})));
}

TEST(Packing, OfTheLastPositionsAlone) {
  const auto packing = Packing::of(mask({{0, 0, 1, 1}, {1, 1, 1, 0}, {1, 1, 0, 0}, {1, 1, 1, 1}}));
  ASSERT_TRUE(packing);
  const Packing last = packing->last(2);
  EXPECT_TRUE(last.cu_seqlens().equal(at::tensor({0, 2, 3, 3, 5}, at::kInt)));
  EXPECT_EQ(last.rows()[1].first, 0);
  EXPECT_EQ(last.unpack(last.pack(at::randn({4, 2, 3}))).size(1), 2);
}

}  // namespace
}  // namespace graft
