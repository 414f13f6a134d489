// Attention over pages: each sequence against its definition in double precision.
#include <graft/contracts/paged_attention.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "attention_reference.h"

namespace graft::test {
namespace {

struct Heads {
  int64_t query_heads = 6, key_heads = 2, dim = 16, value_dim = 12;
};

using Lengths = std::vector<std::pair<int64_t, int64_t>>;  // queries and keys of each sequence

class PagedAttentionTest : public KernelTest {
 protected:
  Kernel kernel(const Options& o) const {
    return Kernel(file("attention"), "PagedAttention", graft_contract_paged_attention_1,
                  {number(o.scale), boolean(o.causal), integer(o.window), number(o.softcap)});
  }

  // Pages in random order, among them some of nobody's; entries of the table that must not be looked at name none. What no
  // key stands in is NaN.
  struct Cache {
    Array q, k_pages, v_pages, block_table, seqlens_k, cu_seqlens_q;
    Expected expected;
  };

  Cache cache(const Heads& n, const Lengths& lengths, int64_t page_tokens, const Options& o, bool gaps = false) const {
    std::mt19937 random(7);
    int64_t columns = 1, used = 0;
    std::vector<int64_t> queries = {0}, keys;
    for (const auto& [q, k] : lengths) {
      queries.push_back(queries.back() + q);
      keys.push_back(k);
      columns = std::max(columns, (k + page_tokens - 1) / page_tokens + 1);
      used += (k + page_tokens - 1) / page_tokens;
    }
    std::vector<int64_t> pages(size_t(used + 3));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    const auto made = [&](std::vector<int64_t> shape) {
      return gaps ? Array::with_gaps(dtype(), shape, 3) : Array(dtype(), shape);
    };
    Cache c{made({queries.back(), n.query_heads, n.dim}).random(1, -2, 2),
            made({used + 3, page_tokens, n.key_heads, n.dim}).fill(NAN),
            made({used + 3, page_tokens, n.key_heads, n.value_dim}).fill(NAN),
            Array(kInt32, {int64_t(lengths.size()), columns}).fill(-1),
            int32s(keys),
            int32s(queries),
            {}};
    size_t next_page = 0;
    for (size_t b = 0; b < lengths.size(); ++b) {
      const auto [count, key_count] = lengths[b];
      const Array k = Array(dtype(), {1, n.key_heads, key_count, n.dim}).random(uint32_t(10 + b), -2, 2);
      const Array v = Array(dtype(), {1, n.key_heads, key_count, n.value_dim}).random(uint32_t(50 + b));
      Array q(dtype(), {1, n.query_heads, count, n.dim});
      for (int64_t h = 0; h < n.query_heads; ++h)
        for (int64_t i = 0; i < count; ++i)
          for (int64_t d = 0; d < n.dim; ++d)
            q.set((h * count + i) * n.dim + d,
                  c.q.get(((queries[b] + i) * n.query_heads + h) * n.dim + d));
      for (int64_t s = 0; s < key_count; ++s) {
        if (s % page_tokens == 0)
          c.block_table.set(int64_t(b) * columns + s / page_tokens, double(pages[next_page++]));
        const int64_t row = int64_t(c.block_table.get(int64_t(b) * columns + s / page_tokens)) * page_tokens +
                            s % page_tokens;
        for (int64_t h = 0; h < n.key_heads; ++h) {
          for (int64_t d = 0; d < n.dim; ++d)
            c.k_pages.set((row * n.key_heads + h) * n.dim + d, k.get((h * key_count + s) * n.dim + d));
          for (int64_t d = 0; d < n.value_dim; ++d)
            c.v_pages.set((row * n.key_heads + h) * n.value_dim + d,
                          v.get((h * key_count + s) * n.value_dim + d));
        }
      }
      const Expected one =
          reference({1, n.query_heads, n.key_heads, count, key_count, n.dim, n.value_dim}, o, q, k, v, nullptr);
      c.expected.out.insert(c.expected.out.end(), one.out.begin(), one.out.end());
    }
    return c;
  }

  void check(const Heads& n, const Lengths& lengths, int64_t page_tokens, const Options& o = {}, bool gaps = false) {
    const Cache c = cache(n, lengths, page_tokens, o, gaps);
    Array out(dtype(), {c.q.shape()[0], n.query_heads, n.value_dim});
    ASSERT_EQ(kernel(o).run({c.q.value(), c.k_pages.value(), c.v_pages.value(), c.block_table.value(),
                             c.seqlens_k.value(), c.cu_seqlens_q.value(), out.value()},
                            3),
              GRAFT_OK)
        << last_error();
    std::string what = o.text() + " pages of " + std::to_string(page_tokens) + ":";
    for (const auto& [q, k] : lengths) what += " " + std::to_string(q) + "/" + std::to_string(k);
    expect_close(graft_contract_paged_attention_1, dtype(), c.expected.out, out, what);
  }

  // Two pages of 4 tokens; a sequence of 2 queries and 6 keys with pages 0 and 1 would be right.
  void expect_refused(std::vector<int64_t> table, int64_t keys, const std::vector<int64_t>& queries,
                      const std::string& word) {
    const Array q = Array(dtype(), {2, 2, 8}).fill(1), pages = Array(dtype(), {2, 4, 1, 8}).fill(1);
    Array block_table(kInt32, {1, int64_t(table.size())});
    for (size_t i = 0; i < table.size(); ++i) block_table.set(int64_t(i), double(table[i]));
    const Array seqlens_k = int32s({keys}), cu_seqlens_q = int32s(queries);
    Array out(dtype(), {2, 2, 8});
    EXPECT_EQ(kernel({}).run({q.value(), pages.value(), pages.value(), block_table.value(), seqlens_k.value(),
                              cu_seqlens_q.value(), out.value()}),
              GRAFT_INVALID_ARGUMENT);
    EXPECT_NE(last_error().find(word), std::string::npos) << last_error();
  }
};

TEST_P(PagedAttentionTest, EveryCombinationOfOptionsInPrefillChunkAndDecode) {
  for (bool causal : {true, false})
    for (int64_t window : {0, 1, 20})
      for (double softcap : {0.0, 1.5})
        check({}, {{5, 5}, {1, 70}, {0, 0}, {37, 37}, {70, 131}}, 16, {0.25, causal, window, softcap});
}

TEST_P(PagedAttentionTest, BordersOfPages) {
  for (int64_t page_tokens : {1, 3, 16, 64, 100, 256})
    for (int64_t off : {-1, 0, 1}) {
      const int64_t keys = 2 * page_tokens + off;
      check({}, {{1, keys}, {keys, keys}, {1, std::max<int64_t>(0, page_tokens + off)}}, page_tokens);
    }
}

TEST_P(PagedAttentionTest, DecodeOfUnequalRowsSplitsLongKeysAmongTasks) {
  for (int64_t page_tokens : {16, 64}) {
    check({}, {{1, 1200}, {1, 3}, {0, 40}, {1, 700}, {1, 64}}, page_tokens);
    check({9, 3, 64, 64}, {{1, 530}, {1, 1}}, page_tokens, {.window = 300});
  }
}

TEST_P(PagedAttentionTest, HeadsAndDimensions) {
  for (const auto& [query_heads, key_heads] : {std::pair<int64_t, int64_t>{9, 3}, {8, 8}, {8, 1}, {70, 1}})
    check({query_heads, key_heads, 8, 8}, {{30, 33}, {1, 5}}, 16);
  for (int64_t dim : {1, 7, 8, 17, 64, 128}) {
    check({2, 1, dim, 16}, {{9, 9}, {1, 74}}, 16);
    check({2, 1, 16, dim}, {{9, 9}, {1, 74}}, 64);
  }
}

TEST_P(PagedAttentionTest, AnyStridesAndAlignment) {
  check({4, 2, 8, 12}, {{7, 9}, {1, 40}}, 16, {}, /*gaps=*/true);
}

TEST_P(PagedAttentionTest, EmptySequences) {
  check({}, {}, 16);
  check({}, {{0, 0}}, 16);
  check({}, {{3, 0}, {0, 20}, {2, 2}}, 16);
}

TEST_P(PagedAttentionTest, APageOfTwoSequencesServesBoth) {
  const Array q = Array(dtype(), {2, 2, 8}).random(1), pages = Array(dtype(), {3, 4, 1, 8}).random(2);
  const Array seqlens_k = int32s({6, 6}), cu_seqlens_q = int32s({0, 1, 2});
  Array table(kInt32, {2, 2}), out(dtype(), {2, 2, 8});
  for (int64_t i : {0, 1, 2, 3}) table.set(i, i % 2 == 0 ? 1 : i == 1 ? 0 : 2);
  // The second query is the first one's: only their second pages tell them apart, and these are made the same.
  Array same_q = q, same_pages = pages;
  for (int64_t i = 0; i < 16; ++i) same_q.set(16 + i, q.get(i));
  for (int64_t i = 0; i < 32; ++i) same_pages.set(64 + i, pages.get(i));
  ASSERT_EQ(kernel({}).run({same_q.value(), same_pages.value(), same_pages.value(), table.value(),
                            seqlens_k.value(), cu_seqlens_q.value(), out.value()}),
            GRAFT_OK);
  for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(out.get(i), out.get(16 + i)) << i;
}

TEST_P(PagedAttentionTest, LengthsAndPagesThatAreNotThereAreRefused) {
  expect_refused({0, 2}, 6, {0, 2}, "block_table names page 2");
  expect_refused({-1, 1}, 6, {0, 2}, "block_table names page -1");
  expect_refused({0, 1}, 9, {0, 2}, "seqlens_k is 9");
  expect_refused({0, 1}, -1, {0, 2}, "seqlens_k is -1");
  expect_refused({0, 1}, 6, {0, 3}, "cu_seqlens_q ends with 3");
  expect_refused({0, 1}, 6, {1, 2}, "cu_seqlens_q begins with 1");
  expect_refused({0, 1}, 6, {0, 1, 2}, "cu_seqlens_q has 2 sequences");
}

TEST_P(PagedAttentionTest, SameBitsForAnyNumberOfThreads) {
  const Heads n;
  for (const Lengths& lengths : {Lengths{{1, 1200}, {1, 40}}, Lengths{{40, 100}, {3, 3}, {1, 500}}}) {
    const Cache c = cache(n, lengths, 64, {});
    std::vector<std::byte> first;
    for (uint32_t threads : {1, 2, 3, 16}) {
      Array out(dtype(), {c.q.shape()[0], n.query_heads, n.value_dim});
      ASSERT_EQ(kernel({}).run({c.q.value(), c.k_pages.value(), c.v_pages.value(), c.block_table.value(),
                                c.seqlens_k.value(), c.cu_seqlens_q.value(), out.value()},
                               threads),
                GRAFT_OK);
      if (first.empty()) first = out.bits();
      EXPECT_EQ(out.bits(), first) << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Plugins, PagedAttentionTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
