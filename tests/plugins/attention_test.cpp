// Attention against its definition in double precision.
#include <graft/contracts/attention.h>

#include <cmath>

#include "attention_reference.h"
#include "gradients.h"

namespace graft::test {
namespace {

Array random_mask(std::vector<int64_t> shape) {
  Array mask(kBool, std::move(shape));
  for (int64_t i = 0; i < mask.numel(); ++i) mask.set(i, i * 2654435761 % 7 < 4);
  return mask;
}

void copy(const Array& from, Array& to) {
  for (int64_t i = 0; i < from.numel(); ++i) to.set(i, from.get(i));
}

class AttentionTest : public KernelTest {
 protected:
  Kernel kernel(const Options& o) const {
    return Kernel(file("attention"), "Attention", graft_contract_attention_1,
                  {number(o.scale), boolean(o.causal), integer(o.window), number(o.softcap)});
  }

  void check(const Sizes& n, const Options& o, const Array& q, const Array& k, const Array& v,
             const Array* mask = nullptr, uint32_t threads = 1) {
    Array out(dtype(), {n.batch, n.queries, n.query_heads, n.value_dim}),
        lse(kFloat32, {n.batch, n.query_heads, n.queries});
    ASSERT_EQ(kernel(o).run({q.value(), k.value(), v.value(), mask != nullptr ? mask->value() : none(),
                             out.value(), lse.value()},
                            threads),
              GRAFT_OK)
        << last_error();
    const Expected expected = reference(n, o, q, k, v, mask);
    expect_close(graft_contract_attention_1, dtype(), expected.out, out, n.text() + o.text());
    expect_close(graft_contract_attention_1, kFloat32, expected.lse, lse, n.text() + o.text() + " lse");
  }
  void check(const Sizes& n, const Options& o, const Array* mask = nullptr, uint32_t threads = 1) {
    check(n, o, Array(dtype(), {n.batch, n.query_heads, n.queries, n.dim}).random(1, -2, 2),
          Array(dtype(), {n.batch, n.key_heads, n.keys, n.dim}).random(2, -2, 2),
          Array(dtype(), {n.batch, n.key_heads, n.keys, n.value_dim}).random(3), mask, threads);
  }

  Differentiated differentiated(const Sizes& n, const Array& q, const Array& k, const Array& v,
                                const Array* mask) const {
    return {{q, k, v, mask != nullptr ? std::optional<Array>(*mask) : std::nullopt},
            {Array(dtype(), {n.batch, n.queries, n.query_heads, n.value_dim}),
             Array(kFloat32, {n.batch, n.query_heads, n.queries})},
            0b0111};
  }
  void check_backward(const Sizes& n, const Options& o, const Array& q, const Array& k, const Array& v,
                      const Array* mask = nullptr) {
    check_gradients(kernel(o), differentiated(n, q, k, v, mask), n.text() + o.text(), 5);
  }
  void check_backward(const Sizes& n, const Options& o, const Array* mask = nullptr) {
    check_backward(n, o, Array(dtype(), {n.batch, n.query_heads, n.queries, n.dim}).random(1, -2, 2),
                   Array(dtype(), {n.batch, n.key_heads, n.keys, n.dim}).random(2, -2, 2),
                   Array(dtype(), {n.batch, n.key_heads, n.keys, n.value_dim}).random(3), mask);
  }
};

TEST_P(AttentionTest, GradientsForEveryCombinationOfOptions) {
  for (const auto& [queries, keys] :
       {std::pair<int64_t, int64_t>{37, 37}, {5, 70}, {1, 70}, {70, 131}, {20, 9}})
    for (bool causal : {true, false})
      for (int64_t window : {0, 20})
        for (double softcap : {0.0, 1.5}) {
          const Sizes n{1, 6, 2, queries, keys, 16, 16};
          check_backward(n, {0.25, causal, window, softcap});
          if (causal) continue;
          const Array mask = random_mask({1, 1, queries, keys});
          check_backward(n, {0.25, causal, window, softcap}, &mask);
        }
}

TEST_P(AttentionTest, GradientsForManySizes) {
  for (int64_t dim : {1, 2, 7, 8, 15, 17, 33, 80}) {
    check_backward({1, 2, 1, 9, 9, dim, 16}, {});
    check_backward({1, 2, 1, 9, 9, 16, dim}, {});
  }
  for (const auto& [query_heads, key_heads] :
       {std::pair<int64_t, int64_t>{9, 3}, {4, 4}, {8, 1}, {70, 1}, {128, 2}})
    for (int64_t queries : {1, 3}) check_backward({2, query_heads, key_heads, queries, 33, 8, 8}, {});
  check_backward({1, 9, 3, 140, 140, 64, 64}, {});
  // Blocks of queries that see one key of a block of 64, the first or the last.
  check_backward({1, 2, 2, 130, 131, 8, 8}, {});
  check_backward({1, 2, 2, 130, 130, 8, 8}, {.window = 2});
  check_backward({1, 4, 2, 2, 1100, 8, 8}, {});
  check_backward({1, 2, 1, 0, 5, 8, 8}, {});
  check_backward({0, 2, 1, 3, 5, 8, 8}, {});
  check_backward({1, 2, 1, 3, 0, 8, 8}, {.causal = false});
}

TEST_P(AttentionTest, GradientsOfAnyMaskStrideAndLayout) {
  const Sizes n{2, 4, 2, 7, 19, 8, 12};
  for (int64_t b : {1, 2})
    for (int64_t h : {1, 4})
      for (int64_t t : {1, 7}) {
        const Array mask = random_mask({b, h, t, 19});
        check_backward(n, {.causal = b == 1}, &mask);
      }
  check_backward(n, {}, Array::permuted(dtype(), {2, 4, 7, 8}, {0, 2, 1, 3}).random(1),
                 Array::permuted(dtype(), {2, 2, 19, 8}, {2, 0, 1, 3}).random(2),
                 Array::with_gaps(dtype(), {2, 2, 19, 12}, 4).random(3));
}

TEST_P(AttentionTest, RowsThatSeeNothingGetAndGiveNoGradients) {
  Array mask = Array(kBool, {3, 1, 1, 30}).fill(1);
  for (int64_t s = 0; s < 30; ++s) mask.set(2 * 30 + s, 0);
  const Sizes n{3, 4, 2, 5, 30, 8, 8};
  check_backward(n, {}, &mask);
  const Differentiated call =
      differentiated(n, Array(dtype(), {3, 4, 5, 8}).random(1), Array(dtype(), {3, 2, 30, 8}).random(2),
                     Array(dtype(), {3, 2, 30, 8}).random(3), &mask);
  const auto grad = gradients(kernel({}), call, random_grad_outputs(kernel({}), call, dtype()));
  for (int i : {0, 1, 2})
    for (size_t at = grad[size_t(i)].size() / 3 * 2; at < grad[size_t(i)].size(); ++at)
      EXPECT_EQ(grad[size_t(i)][at], 0);
}

TEST_P(AttentionTest, NanInAQueryReachesTheGradientsOfWhatItSees) {
  Array q = Array(dtype(), {1, 2, 6, 8}).random(1);
  q.set(2 * 8, std::nan(""));  // head 0, token 2, which sees keys up to 76
  const Differentiated call =
      differentiated({1, 2, 1, 6, 80, 8, 16}, q, Array(dtype(), {1, 1, 80, 8}).random(2),
                     Array(dtype(), {1, 1, 80, 16}).random(3), nullptr);
  const auto grad = gradients(kernel({}), call, random_grad_outputs(kernel({}), call, dtype()));
  for (size_t at = 0; at < grad[0].size(); ++at) EXPECT_EQ(std::isnan(grad[0][at]), at / 8 == 2) << at;
  for (size_t at = 0; at < 80 * 16; ++at) EXPECT_EQ(std::isnan(grad[2][at]), at / 16 <= 76) << at;
}

TEST_P(AttentionTest, EveryCombinationOfOptionsInPrefillChunkAndDecode) {
  for (const auto& [queries, keys] :
       {std::pair<int64_t, int64_t>{37, 37}, {5, 70}, {1, 70}, {1, 600}, {70, 131}})
    for (bool causal : {true, false})
      for (int64_t window : {0, 1, 20})
        for (double softcap : {0.0, 1.5}) {
          const Sizes n{1, 6, 2, queries, keys, 16, 16};
          check(n, {0.25, causal, window, softcap}, nullptr, 2);
          const Array mask = random_mask({1, 1, queries, keys});
          check(n, {0.25, causal, window, softcap}, &mask);
        }
}

TEST_P(AttentionTest, ManyHeadDimensions) {
  for (int64_t dim : {1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 64, 80, 128}) {
    check({1, 2, 1, 9, 9, dim, 16}, {});
    check({1, 2, 1, 9, 9, 16, dim}, {});
    check({1, 2, 2, 1, 65, dim, dim}, {});
  }
}

TEST_P(AttentionTest, QueryHeadsForEachKeyHead) {
  for (const auto& [query_heads, key_heads] :
       {std::pair<int64_t, int64_t>{9, 3}, {8, 8}, {8, 1}, {70, 1}, {128, 2}})
    for (int64_t queries : {1, 2, 30}) check({2, query_heads, key_heads, queries, 33, 8, 8}, {}, nullptr, 3);
}

TEST_P(AttentionTest, SizesOfARealModel) {
  check({1, 9, 3, 200, 200, 64, 64}, {}, nullptr, 2);
  check({1, 9, 3, 1, 1100, 64, 64}, {}, nullptr, 2);
  check({1, 9, 3, 3, 800, 64, 64}, {}, nullptr, 3);
}

TEST_P(AttentionTest, MoreQueriesThanKeysLeavesTheFirstWithZeros) {
  check({1, 2, 1, 90, 20, 8, 8}, {});
}

TEST_P(AttentionTest, MasksOfEveryBroadcastAndLayout) {
  const Sizes n{2, 4, 2, 7, 19, 8, 8};
  for (int64_t b : {1, 2})
    for (int64_t h : {1, 4})
      for (int64_t t : {1, 7}) {
        const Array mask = random_mask({b, h, t, 19});
        check(n, {.causal = b == 1}, &mask);
      }
  Array strided = Array::permuted(kBool, {2, 4, 7, 19}, {3, 1, 0, 2});
  copy(random_mask({2, 4, 7, 19}), strided);
  check(n, {.causal = false}, &strided);
}

TEST_P(AttentionTest, LeftPaddingAndAFullyHiddenRowGiveZeros) {
  for (int64_t queries : {12, 1}) {
    Array mask = Array(kBool, {3, 1, 1, 300}).fill(1);
    for (int64_t s = 0; s < 295; ++s) mask.set(s, 0);            // almost all padding
    for (int64_t s = 0; s < 300; ++s) mask.set(2 * 300 + s, 0);  // nothing to see
    check({3, 4, 2, queries, 300, 16, 16}, {}, &mask, 2);
  }
}

TEST_P(AttentionTest, StridesOfAKeyValueCacheAndOfTransposedHeads) {
  const Sizes n{2, 6, 3, 5, 40, 24, 20};
  Array q = Array::permuted(dtype(), {2, 6, 5, 24}, {0, 2, 1, 3}).random(1);
  Array k = Array::permuted(dtype(), {2, 3, 40, 24}, {2, 0, 1, 3}).random(2);
  check(n, {}, q, k, Array::with_gaps(dtype(), {2, 3, 40, 20}, 12).random(3));
  check(n, {}, q, Array::with_gaps(dtype(), {2, 3, 40, 24}, 1).random(4),
        Array(dtype(), {2, 3, 40, 20}, 1).random(5));
}

TEST_P(AttentionTest, GreatScoresDoNotOverflow) {
  const Sizes n{1, 2, 1, 4, 100, 16, 8};
  check(n, {.scale = 1}, Array(dtype(), {1, 2, 4, 16}).random(1, -20, 20),
        Array(dtype(), {1, 1, 100, 16}).random(2, -20, 20), Array(dtype(), {1, 1, 100, 8}).random(3));
}

TEST_P(AttentionTest, NanReachesOnlyTheRowsThatSeeIt) {
  const Sizes n{1, 2, 1, 6, 80, 8, 16};
  Array q = Array(dtype(), {1, 2, 6, 8}).random(1), k = Array(dtype(), {1, 1, 80, 8}).random(2);
  q.set(3 * 8, std::nan(""));
  k.set(78 * 8 + 1, std::nan(""));  // the last two queries of each head see key 78
  check(n, {}, q, k, Array(dtype(), {1, 1, 80, 16}).random(3));
}

TEST_P(AttentionTest, EmptySizes) {
  check({1, 2, 1, 0, 5, 8, 8}, {});
  check({0, 2, 1, 3, 5, 8, 8}, {});
  check({1, 2, 1, 3, 0, 8, 8}, {.causal = false});
}

TEST_P(AttentionTest, SameBitsForAnyNumberOfThreads) {
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 1200}, {130, 130}}) {
    const Array q = Array(dtype(), {1, 6, queries, 32}).random(1),
                k = Array(dtype(), {1, 2, keys, 32}).random(2),
                v = Array(dtype(), {1, 2, keys, 32}).random(3);
    std::vector<std::byte> first;
    for (uint32_t threads : {1, 2, 3, 16}) {
      Array out(dtype(), {1, queries, 6, 32});
      ASSERT_EQ(kernel({}).run({q.value(), k.value(), v.value(), none(), out.value(), none()}, threads),
                GRAFT_OK);
      if (first.empty()) first = out.bits();
      EXPECT_EQ(out.bits(), first) << queries << " queries, " << threads << " threads";
    }
  }
}

TEST_P(AttentionTest, WorkspaceGrowsWithEveryDimension) {
  for (uint32_t pass : {GRAFT_WORKSPACE_FORWARD, GRAFT_WORKSPACE_BACKWARD}) {
    const auto size = [&](int64_t groups, int64_t key_heads, int64_t queries, int64_t keys, int64_t dim) {
      const Array q(dtype(), {1, groups * key_heads, queries, dim}), k(dtype(), {1, key_heads, keys, dim}),
          out(dtype(), {1, queries, groups * key_heads, dim});
      return kernel({}).workspace({q.value(), k.value(), k.value(), none(), out.value(), none()}, 2, pass);
    };
    for (int64_t i = 1; i < 80; ++i) {
      EXPECT_LE(size(3, 2, i, 1000, 8), size(3, 2, i + 1, 1000, 8)) << i << " queries";
      EXPECT_LE(size(i, 1, 20, 700, 8), size(i + 1, 1, 20, 700, 8)) << i << " query heads";
      EXPECT_LE(size(3, 2, 1, 60 * i, 8), size(3, 2, 1, 60 * (i + 1), 8)) << 60 * i << " keys";
      EXPECT_LE(size(3, 2, 1, 60, i), size(3, 2, 1, 60, i + 1)) << "dimension " << i;
    }
    for (int64_t key_heads : {1, 2, 3, 4, 6}) {
      const int64_t next = key_heads == 4 ? 6 : key_heads == 6 ? 12 : key_heads + 1;
      EXPECT_LE(size(12 / key_heads, key_heads, 20, 700, 8), size(12 / next, next, 20, 700, 8))
          << key_heads << " key heads";
    }
  }
}

TEST_P(AttentionTest, QueryHeadsThatKeyHeadsDoNotDivideAreUnsupported) {
  const Array q = Array(dtype(), {1, 5, 1, 8}).fill(1), k = Array(dtype(), {1, 2, 1, 8}).fill(1);
  Array out(dtype(), {1, 1, 5, 8});
  EXPECT_EQ(kernel({}).run({q.value(), k.value(), k.value(), none(), out.value(), none()}),
            GRAFT_UNSUPPORTED);
}

TEST_P(AttentionTest, OneInstanceServesManyThreadsAtOnce) {
  const Sizes n{1, 6, 2, 3, 600, 16, 16};
  const Kernel shared = kernel({});
  const Array q = Array(dtype(), {1, 6, 3, 16}).random(1), k = Array(dtype(), {1, 2, 600, 16}).random(2),
              v = Array(dtype(), {1, 2, 600, 16}).random(3);
  const Expected expected = reference(n, {}, q, k, v, nullptr);
  const graft_value in[3] = {q.value(), k.value(), v.value()};
  std::vector<Array> outs(4, Array(dtype(), {1, 3, 6, 16}));
  run_at_once(4, [&](int i) {
    for (int repeat = 0; repeat < 20; ++repeat)
      EXPECT_EQ(shared.run({in[0], in[1], in[2], none(), outs[size_t(i)].value(), none()}, 2), GRAFT_OK);
  });
  for (const Array& out : outs)
    expect_close(graft_contract_attention_1, dtype(), expected.out, out, "concurrent");
}

INSTANTIATE_TEST_SUITE_P(Plugins, AttentionTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
