#include "paged_kv_cache.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

constexpr int64_t kPage = PagedKVCache::kPageTokens;

ModelConfig config() {
  ModelConfig c;
  c.num_hidden_layers = 2;
  c.num_key_value_heads = 3;
  c.head_dim = 4;
  return c;
}

/// Steps of a batch, and what the cache should hold of each row.
class Steps {
 public:
  explicit Steps(int64_t rows) : cache_(config(), rows, at::kFloat), rows_(size_t(rows)) {}
  PagedKVCache& cache() { return cache_; }

  Packing step(const std::vector<Packing::Span>& tokens, int64_t positions) {
    const Packing packed = cache_.begin_step(Packing(tokens, positions, at::kCPU));
    const at::Tensor keys = at::randn({packed.packed_tokens(), 3, 4});
    for (size_t layer : {0u, 1u}) cache_.append(layer, keys * double(layer + 1), -keys);
    cache_.advance(positions);
    int64_t next = 0;
    for (size_t b = 0; b < rows_.size(); ++b) {
      rows_[b].push_back(keys.narrow(0, next, packed.rows()[b].count));
      next += packed.rows()[b].count;
    }
    return packed;
  }
  void release(int64_t row) {
    cache_.release(row);
    rows_[size_t(row)].clear();
  }

  void expect_held() {
    for (size_t b = 0; b < rows_.size(); ++b) {
      const int64_t tokens = cache_.seqlens_k()[int64_t(b)].item<int64_t>();
      const at::Tensor expected = rows_[b].empty() ? at::randn({0, 3, 4}) : at::cat(rows_[b]);
      ASSERT_EQ(tokens, expected.size(0)) << "row " << b;
      for (int64_t s = 0; s < tokens; ++s) {
        const int64_t page = cache_.block_table()[int64_t(b)][s / kPage].item<int64_t>();
        for (size_t layer : {0u, 1u}) {
          EXPECT_TRUE(cache_.keys(layer)[page][s % kPage].equal(expected[s] * double(layer + 1)));
          EXPECT_TRUE(cache_.values(layer)[page][s % kPage].equal(-expected[s]));
        }
      }
    }
  }

 private:
  PagedKVCache cache_;
  std::vector<std::vector<at::Tensor>> rows_;
};

TEST(PagedKVCache, HoldsEachRowsTokensAcrossPages) {
  Steps steps(3);
  steps.step({{67, 3}, {0, 70}, {5, 65}}, 70);
  steps.expect_held();
  for (int i = 0; i < 70; ++i) steps.step({{0, 1}, {0, 1}, {0, 1}}, 1);
  steps.expect_held();
  EXPECT_EQ(steps.cache().length(), 140);
}

TEST(PagedKVCache, TakesPagesForRealTokensAlone) {
  Steps steps(2);
  steps.step({{kPage * 10 - 1, 1}, {0, kPage * 10}}, kPage * 10);
  EXPECT_EQ(steps.cache().pages(), 11);
  EXPECT_EQ(steps.cache().free_pages(), 0);
}

TEST(PagedKVCache, PagesOfARowThatEndedGoToOthers) {
  Steps steps(2);
  steps.step({{0, kPage * 4}, {0, kPage * 4}}, kPage * 4);
  const int64_t pages = steps.cache().pages();
  steps.release(0);
  EXPECT_EQ(steps.cache().free_pages(), 4);
  steps.step({{0, kPage * 4}, {0, kPage * 4}}, kPage * 4);
  EXPECT_EQ(steps.cache().pages(), pages);
  EXPECT_EQ(steps.cache().free_pages(), 0);
  steps.expect_held();
}

TEST(PagedKVCache, TokensOfARowThatEndedArePassedOver) {
  Steps steps(3);
  steps.step({{0, 2}, {0, 2}, {0, 2}}, 2);
  steps.release(1);
  const Packing step = steps.step({{0, 1}, {0, 1}, {0, 1}}, 1);
  EXPECT_EQ(step.packed_tokens(), 2);
  EXPECT_TRUE(step.cu_seqlens().equal(at::tensor({0, 1, 1, 2}, at::kInt)));
  steps.expect_held();
  steps.release(1);  // again: nothing more to give back
  EXPECT_EQ(steps.cache().pages(), 3);
  EXPECT_EQ(steps.cache().free_pages(), 1);
}

}  // namespace
}  // namespace graft
