// Attention over packed sequences: each against its definition in double precision.
#include <graft/contracts/varlen_attention.h>

#include <numeric>

#include "attention_reference.h"
#include "gradients.h"

namespace graft::test {
namespace {

struct Heads {
  int64_t query_heads = 6, key_heads = 2, dim = 16, value_dim = 12;
};

// Lengths of the sequences' queries and keys.
using Lengths = std::vector<std::pair<int64_t, int64_t>>;

std::string text(const Lengths& lengths) {
  std::string all;
  for (const auto& [queries, keys] : lengths) all += std::to_string(queries) + "/" + std::to_string(keys) + " ";
  return all;
}

class VarlenAttentionTest : public KernelTest {
 protected:
  Kernel kernel(const Options& o) const {
    return Kernel(file("attention"), "VarlenAttention", graft_contract_varlen_attention_1,
                  {number(o.scale), boolean(o.causal), integer(o.window), number(o.softcap)});
  }

  struct Packed {
    Array q, k, v, cu_seqlens_q, cu_seqlens_k;
  };
  Packed packed(const Heads& n, const Lengths& lengths) const {
    std::vector<int64_t> queries = {0}, keys = {0};
    for (const auto& [q, k] : lengths) {
      queries.push_back(queries.back() + q);
      keys.push_back(keys.back() + k);
    }
    return {Array(dtype(), {queries.back(), n.query_heads, n.dim}).random(1, -2, 2),
            Array(dtype(), {keys.back(), n.key_heads, n.dim}).random(2, -2, 2),
            Array(dtype(), {keys.back(), n.key_heads, n.value_dim}).random(3), int32s(queries), int32s(keys)};
  }

  static Expected expected(const Heads& n, const Lengths& lengths, const Options& o, const Packed& p) {
    Expected all;
    const int64_t tokens = p.q.shape()[0];
    all.lse.resize(size_t(n.query_heads * tokens));
    int64_t query = 0, key = 0;
    for (const auto& [queries, keys] : lengths) {
      const auto rows = [](const Array& from, int64_t first, int64_t count) {  // [1, heads, count, D]
        const int64_t heads = from.shape()[1], dim = from.shape()[2];
        Array to(from.dtype(), {1, heads, count, dim});
        for (int64_t h = 0; h < heads; ++h)
          for (int64_t i = 0; i < count; ++i)
            for (int64_t d = 0; d < dim; ++d)
              to.set((h * count + i) * dim + d, from.get(((first + i) * heads + h) * dim + d));
        return to;
      };
      const Sizes sizes{1, n.query_heads, n.key_heads, queries, keys, n.dim, n.value_dim};
      const Expected one =
          reference(sizes, o, rows(p.q, query, queries), rows(p.k, key, keys), rows(p.v, key, keys), nullptr);
      all.out.insert(all.out.end(), one.out.begin(), one.out.end());
      for (int64_t h = 0; h < n.query_heads; ++h)
        for (int64_t i = 0; i < queries; ++i)
          all.lse[size_t(h * tokens + query + i)] = one.lse[size_t(h * queries + i)];
      query += queries;
      key += keys;
    }
    return all;
  }

  void check(const Heads& n, const Lengths& lengths, const Options& o, const Packed& p, uint32_t threads = 2) {
    const int64_t tokens = p.q.shape()[0];
    Array out(dtype(), {tokens, n.query_heads, n.value_dim}), lse(kFloat32, {n.query_heads, tokens});
    ASSERT_EQ(kernel(o).run({p.q.value(), p.k.value(), p.v.value(), p.cu_seqlens_q.value(),
                             p.cu_seqlens_k.value(), out.value(), lse.value()},
                            threads),
              GRAFT_OK)
        << last_error();
    const Expected e = expected(n, lengths, o, p);
    expect_close(graft_contract_varlen_attention_1, dtype(), e.out, out, text(lengths) + o.text());
    expect_close(graft_contract_varlen_attention_1, kFloat32, e.lse, lse, text(lengths) + o.text() + " lse");
  }
  void check(const Heads& n, const Lengths& lengths, const Options& o = {}, uint32_t threads = 2) {
    check(n, lengths, o, packed(n, lengths), threads);
  }

  void check_backward(const Heads& n, const Lengths& lengths, const Options& o = {}) {
    const Packed p = packed(n, lengths);
    const int64_t tokens = p.q.shape()[0];
    check_gradients(kernel(o),
                    {{p.q, p.k, p.v, p.cu_seqlens_q, p.cu_seqlens_k},
                     {Array(dtype(), {tokens, n.query_heads, n.value_dim}), Array(kFloat32, {n.query_heads, tokens})},
                     0b00111},
                    text(lengths) + o.text(), 5);
  }

  // Of one query and key head of 8: tokens that the lengths have to fit.
  void expect_refused(int64_t tokens, const std::vector<int64_t>& queries, const std::vector<int64_t>& keys,
                      const std::string& word) {
    const Array x = Array(dtype(), {tokens, 1, 8}).fill(1);
    const Array cu_seqlens_q = int32s(queries), cu_seqlens_k = int32s(keys);
    Array out(dtype(), {tokens, 1, 8});
    EXPECT_EQ(kernel({}).run({x.value(), x.value(), x.value(), cu_seqlens_q.value(), cu_seqlens_k.value(),
                              out.value(), none()}),
              GRAFT_INVALID_ARGUMENT);
    EXPECT_NE(last_error().find(word), std::string::npos) << last_error();
  }
};

const Lengths kUnequal = {{5, 5}, {1, 70}, {0, 0}, {37, 37}, {70, 131}, {3, 300}};

TEST_P(VarlenAttentionTest, EveryCombinationOfOptions) {
  for (bool causal : {true, false})
    for (int64_t window : {0, 1, 20})
      for (double softcap : {0.0, 1.5}) check({}, kUnequal, {0.25, causal, window, softcap});
}

TEST_P(VarlenAttentionTest, EmptySequencesAnywhere) {
  check({}, {});
  check({}, {{0, 0}});
  check({}, {{0, 0}, {4, 4}, {0, 0}, {0, 0}, {2, 2}, {0, 0}});
  check({}, {{0, 7}, {3, 0}, {4, 4}});  // keys that nobody asks, queries that see nothing
}

TEST_P(VarlenAttentionTest, OneTokenEach) {
  check({}, {{1, 1}});
  check({}, {{1, 1}, {1, 1}, {1, 1}});
}

TEST_P(VarlenAttentionTest, DecodeSplitsLongKeysAmongTasks) {
  check({}, {{1, 1200}, {1, 3}, {0, 0}, {1, 700}}, {}, 3);
  check({}, {{2, 600}, {0, 5}, {1, 70}}, {.window = 300}, 3);
  check({}, {{1, 600}}, {.softcap = 2});
}

TEST_P(VarlenAttentionTest, HeadsAndDimensions) {
  for (const auto& [query_heads, key_heads] :
       {std::pair<int64_t, int64_t>{9, 3}, {8, 8}, {8, 1}, {70, 1}, {128, 2}})
    check({query_heads, key_heads, 8, 8}, {{30, 33}, {1, 5}, {2, 2}}, {}, 3);
  for (int64_t dim : {1, 3, 7, 8, 17, 33, 64, 128}) {
    check({2, 1, dim, 16}, {{9, 9}, {1, 4}});
    check({2, 1, 16, dim}, {{9, 9}, {1, 4}});
  }
}

TEST_P(VarlenAttentionTest, MoreQueriesThanKeysLeavesTheFirstWithZeros) {
  check({}, {{90, 20}, {3, 3}});
}

TEST_P(VarlenAttentionTest, AnyStridesAndAlignment) {
  const Heads n{4, 2, 8, 12};
  const Lengths lengths = {{7, 9}, {3, 3}};
  const Packed p = packed(n, lengths);
  const auto like = [](const Array& from, Array to) {
    for (int64_t i = 0; i < from.numel(); ++i) to.set(i, from.get(i));
    return to;
  };
  check(n, lengths, {},
        {like(p.q, Array::permuted(dtype(), p.q.shape(), {1, 0, 2})),
         like(p.k, Array::with_gaps(dtype(), p.k.shape(), 5)), like(p.v, Array(dtype(), p.v.shape(), 1)),
         p.cu_seqlens_q, p.cu_seqlens_k});
}

TEST_P(VarlenAttentionTest, SizesOfARealModel) {
  check({9, 3, 64, 64}, {{200, 200}, {17, 17}, {64, 64}, {130, 130}}, {}, 2);
}

TEST_P(VarlenAttentionTest, SameBitsForAnyNumberOfThreads) {
  for (const Lengths& lengths : {kUnequal, Lengths{{1, 1200}, {1, 40}}}) {
    const Heads n;
    const Packed p = packed(n, lengths);
    std::vector<std::byte> first;
    for (uint32_t threads : {1, 2, 3, 16}) {
      Array out(dtype(), {p.q.shape()[0], n.query_heads, n.value_dim});
      ASSERT_EQ(kernel({}).run({p.q.value(), p.k.value(), p.v.value(), p.cu_seqlens_q.value(),
                                p.cu_seqlens_k.value(), out.value(), none()},
                               threads),
                GRAFT_OK);
      if (first.empty()) first = out.bits();
      EXPECT_EQ(out.bits(), first) << threads << " threads";
    }
  }
}

TEST_P(VarlenAttentionTest, Gradients) {
  for (bool causal : {true, false})
    for (int64_t window : {0, 20})
      for (double softcap : {0.0, 1.5})
        check_backward({}, {{5, 5}, {0, 0}, {1, 70}, {37, 40}}, {0.25, causal, window, softcap});
  check_backward({9, 3, 8, 8}, {{70, 70}, {0, 4}, {3, 0}, {20, 9}});
  check_backward({}, {{1, 600}, {1, 5}});
  check_backward({}, {});
}

TEST_P(VarlenAttentionTest, LengthsThatTheTokensDoNotHaveAreRefused) {
  expect_refused(5, {0, 6}, {0, 5}, "cu_seqlens_q ends with 6");
  expect_refused(5, {0, 4}, {0, 5}, "cu_seqlens_q ends with 4");
  expect_refused(5, {0, 5}, {0, 2000000000}, "cu_seqlens_k ends with 2000000000");
  expect_refused(5, {0, 4, 2, 5}, {0, 1, 2, 5}, "cu_seqlens_q falls from 4 to 2");
  expect_refused(5, {0, 1, 2, 5}, {0, 9, 2, 5}, "cu_seqlens_k falls from 9 to 2");
  expect_refused(5, {-1, 5}, {0, 5}, "cu_seqlens_q begins with -1");
  expect_refused(5, {0, 5}, {1, 5}, "cu_seqlens_k begins with 1");
  expect_refused(0, {}, {}, "cu_seqlens_q is empty");
}

TEST_P(VarlenAttentionTest, BackwardRefusesThemToo) {
  const Array x = Array(dtype(), {5, 1, 8}).fill(1), lse = Array(kFloat32, {1, 5}).fill(0);
  const Array right = int32s({0, 5}), wrong = int32s({0, 7});
  Array grad(dtype(), {5, 1, 8});
  EXPECT_EQ(kernel({}).run_backward({x.value(), x.value(), x.value(), right.value(), wrong.value(), x.value(),
                                     lse.value()},
                                    {x.value()}, 0b00001, {grad.value(), none(), none(), none(), none()}),
            GRAFT_INVALID_ARGUMENT);
  EXPECT_NE(last_error().find("cu_seqlens_k ends with 7"), std::string::npos) << last_error();
}

TEST_P(VarlenAttentionTest, WorkspaceGrowsWithEveryDimension) {
  for (uint32_t pass : {GRAFT_WORKSPACE_FORWARD, GRAFT_WORKSPACE_BACKWARD}) {
    const auto size = [&](int64_t groups, int64_t sequences, int64_t queries, int64_t keys, int64_t dim) {
      const Array q(dtype(), {queries, groups * 2, dim}), k(dtype(), {keys, 2, dim}),
          cu_seqlens(kInt32, {sequences + 1});
      return kernel({}).workspace({q.value(), k.value(), k.value(), cu_seqlens.value(), cu_seqlens.value(),
                                   q.value(), none()},
                                  2, pass);
    };
    for (int64_t i = 1; i < 80; ++i) {
      EXPECT_LE(size(3, 4, i, 1000, 8), size(3, 4, i + 1, 1000, 8)) << i << " queries";
      EXPECT_LE(size(3, i, 40, 1000, 8), size(3, i + 1, 40, 1000, 8)) << i << " sequences";
      EXPECT_LE(size(i, 4, 20, 700, 8), size(i + 1, 4, 20, 700, 8)) << i << " groups";
      EXPECT_LE(size(3, 4, 4, 60 * i, 8), size(3, 4, 4, 60 * (i + 1), 8)) << 60 * i << " keys";
      EXPECT_LE(size(3, 4, 4, 60, i), size(3, 4, 4, 60, i + 1)) << "dimension " << i;
    }
  }
}

TEST_P(VarlenAttentionTest, QueryHeadsThatKeyHeadsDoNotDivideAreUnsupported) {
  const Array q = Array(dtype(), {1, 5, 8}).fill(1), k = Array(dtype(), {1, 2, 8}).fill(1), one = int32s({0, 1});
  Array out(dtype(), {1, 5, 8});
  EXPECT_EQ(kernel({}).run({q.value(), k.value(), k.value(), one.value(), one.value(), out.value(), none()}),
            GRAFT_UNSUPPORTED);
}

INSTANTIATE_TEST_SUITE_P(Plugins, VarlenAttentionTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
