#include "kv_cache.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

ModelConfig config() {
  ModelConfig c;
  c.num_hidden_layers = 2;
  c.num_key_value_heads = 3;
  c.head_dim = 4;
  return c;
}

TEST(KVCache, HoldsWhatWasAppendedInOrderAlsoBeyondItsFirstCapacity) {
  KVCache cache(config(), 2, 4, at::kFloat);
  at::Tensor all;
  for (int64_t tokens : {3, 1, 1, 9}) {
    const at::Tensor k = at::randn({2, 3, tokens, 4});
    all = all.defined() ? at::cat({all, k}, 2) : k;
    for (size_t layer : {0u, 1u}) {
      const auto [keys, values] = cache.append(layer, k, -k);
      EXPECT_TRUE(keys.equal(all));
      EXPECT_TRUE(values.equal(-all));
    }
    cache.advance(tokens);
    EXPECT_EQ(cache.length(), all.size(2));
  }
}

TEST(KVCache, TakesKeysOfAnyStridesAndDtypes) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    KVCache cache(config(), 2, 8, dtype);
    const at::Tensor tokens_first = at::randn({2, 5, 3, 4}), apart = at::randn({2, 3, 5, 8}).slice(3, 0, 8, 2);
    const auto [keys, values] = cache.append(1, tokens_first.transpose(1, 2).to(dtype), apart);
    EXPECT_TRUE(keys.equal(tokens_first.transpose(1, 2).to(dtype)));
    EXPECT_TRUE(values.equal(apart.to(dtype)));
  }
}

TEST(KVCache, KeysOfAnotherShapeAreAnError) {
  KVCache cache(config(), 2, 8, at::kFloat);
  for (const auto& shape : {std::vector<int64_t>{3, 3, 1, 4}, {2, 4, 1, 4}, {2, 3, 1, 5}})
    EXPECT_THROW(cache.append(0, at::randn(shape), at::randn(shape)), c10::Error);
}

TEST(KVCache, AGradientGoesThroughIt) {
  KVCache cache(config(), 1, 8, at::kFloat);
  const at::Tensor k = at::randn({1, 3, 2, 4}).requires_grad_();
  cache.append(0, k, k).first.sum().backward();
  EXPECT_TRUE(k.grad().equal(at::ones_like(k)));
}

TEST(KVCache, AStepWithinItsCapacityMovesNothing) {
  KVCache cache(config(), 1, 16, at::kFloat);
  const void* first = cache.append(0, at::randn({1, 3, 5, 4}), at::randn({1, 3, 5, 4})).first.const_data_ptr();
  cache.advance(5);
  EXPECT_EQ(cache.append(0, at::randn({1, 3, 11, 4}), at::randn({1, 3, 11, 4})).first.const_data_ptr(), first);
}

}  // namespace
}  // namespace graft
