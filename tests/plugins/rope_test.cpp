// RotaryPosEmb against its definition in double precision.
#include <graft/contracts/rotary_pos_emb.h>

#include <cmath>

#include "gradients.h"

namespace graft::test {
namespace {

class RotaryPosEmbTest : public KernelTest {
 protected:
  std::vector<double> reference(const Array& x, const Array& cos, const Array& sin) {
    const int64_t heads = x.shape()[1], tokens = x.shape()[2], dim = x.shape()[3];
    std::vector<double> out;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t d = i % dim, token = i / dim % tokens, batch = i / dim / tokens / heads;
      const int64_t at = ((cos.shape()[0] == 1 ? 0 : batch) * tokens + token) * dim + d;
      const double other = d < dim / 2 ? -x.get(i + dim / 2) : x.get(i - dim / 2);
      out.push_back(x.get(i) * cos.get(at) + other * sin.get(at));
    }
    return out;
  }

  void check(const Array& q, const Array& k, const Array& cos, const Array& sin, const std::string& what,
             uint32_t threads = 1) {
    const Kernel kernel(file("rope"), "RotaryPosEmb", graft_contract_rotary_pos_emb_1);
    Array q_out(dtype(), q.shape()), k_out(dtype(), k.shape());
    ASSERT_EQ(
        kernel.run({q.value(), k.value(), cos.value(), sin.value(), q_out.value(), k_out.value()}, threads),
        GRAFT_OK)
        << last_error();
    expect_close(graft_contract_rotary_pos_emb_1, dtype(), reference(q, cos, sin), q_out, what + " q");
    expect_close(graft_contract_rotary_pos_emb_1, dtype(), reference(k, cos, sin), k_out, what + " k");
  }
};

TEST_P(RotaryPosEmbTest, HeadsTokensAndThreads) {
  for (int64_t tokens : {0, 1, 5, 64, 513})
    for (uint32_t threads : {1, 2, 3})
      check(Array(dtype(), {1, 9, tokens, 64}).random(1), Array(dtype(), {1, 3, tokens, 64}).random(2),
            Array(dtype(), {1, tokens, 64}).random(3), Array(dtype(), {1, tokens, 64}).random(4),
            std::to_string(tokens) + " tokens", threads);
}

TEST_P(RotaryPosEmbTest, AllEvenHeadDimensions) {
  for (int64_t dim = 2; dim <= 66; dim += 2)
    check(Array(dtype(), {2, 2, 3, dim}).random(1), Array(dtype(), {2, 1, 3, dim}).random(2),
          Array(dtype(), {2, 3, dim}).random(3), Array(dtype(), {2, 3, dim}).random(4),
          "dimension " + std::to_string(dim));
}

TEST_P(RotaryPosEmbTest, TransposedHeadsAndBroadcastBatch) {
  check(Array::permuted(dtype(), {3, 4, 5, 24}, {0, 2, 1, 3}).random(1),
        Array::permuted(dtype(), {3, 2, 5, 24}, {0, 2, 1, 3}).random(2), Array(dtype(), {1, 5, 24}).random(3),
        Array::with_gaps(dtype(), {1, 5, 24}, 7).random(4), "transposed");
  check(Array::with_gaps(dtype(), {2, 3, 4, 10}, 3).random(1),
        Array::with_gaps(dtype(), {2, 3, 4, 10}, 1).random(2),
        Array::with_gaps(dtype(), {2, 4, 10}, 2).random(3), Array(dtype(), {2, 4, 10}).random(4), "gaps");
}

TEST_P(RotaryPosEmbTest, NanAndInfinityStayWithTheirPair) {
  Array q = Array(dtype(), {1, 1, 2, 8}).random(1);
  q.set(1, std::nan("")), q.set(8 + 6, HUGE_VAL);
  check(q, Array(dtype(), {1, 1, 2, 8}).random(2), Array(dtype(), {1, 2, 8}).random(3, 0.1, 1),
        Array(dtype(), {1, 2, 8}).random(4, 0.1, 1), "special values");
}

TEST_P(RotaryPosEmbTest, GradientsOfQueriesAndKeys) {
  const Kernel kernel(file("rope"), "RotaryPosEmb", graft_contract_rotary_pos_emb_1);
  const auto check_backward = [&](const Array& q, const Array& k, const Array& cos, const Array& sin) {
    check_gradients(
        kernel, {{q, k, cos, sin}, {Array(dtype(), q.shape()), Array(dtype(), k.shape())}, 0b0011}, "rope");
  };
  for (int64_t dim : {2, 6, 16, 18, 64})
    check_backward(Array(dtype(), {2, 3, 5, dim}).random(1), Array(dtype(), {2, 1, 5, dim}).random(2),
                   Array(dtype(), {1, 5, dim}).random(3), Array(dtype(), {2, 5, dim}).random(4));
  for (int64_t tokens : {0, 1, 300})
    check_backward(Array(dtype(), {1, 9, tokens, 64}).random(1), Array(dtype(), {1, 3, tokens, 64}).random(2),
                   Array(dtype(), {1, tokens, 64}).random(3), Array(dtype(), {1, tokens, 64}).random(4));
  check_backward(Array::permuted(dtype(), {3, 4, 5, 24}, {0, 2, 1, 3}).random(1),
                 Array::permuted(dtype(), {3, 2, 5, 24}, {0, 2, 1, 3}).random(2),
                 Array::with_gaps(dtype(), {1, 5, 24}, 7).random(3), Array(dtype(), {3, 5, 24}).random(4));
}

TEST_P(RotaryPosEmbTest, GradientsOfCosAndSinAreUnsupported) {
  const Kernel kernel(file("rope"), "RotaryPosEmb", graft_contract_rotary_pos_emb_1);
  const Array q = Array(dtype(), {1, 1, 1, 8}).fill(1), cos = Array(dtype(), {1, 1, 8}).fill(1);
  const std::vector<graft_value> arguments{q.value(),   q.value(), cos.value(),
                                           cos.value(), q.value(), q.value()};
  EXPECT_EQ(
      kernel.run_backward(arguments, {q.value(), q.value()}, 0b100, {none(), none(), cos.value(), none()}),
      GRAFT_UNSUPPORTED);
}

TEST_P(RotaryPosEmbTest, OddHeadDimensionIsUnsupported) {
  const Kernel kernel(file("rope"), "RotaryPosEmb", graft_contract_rotary_pos_emb_1);
  const Array q = Array(dtype(), {1, 1, 1, 7}).fill(1), cos = Array(dtype(), {1, 1, 7}).fill(1);
  Array q_out(dtype(), {1, 1, 1, 7}), k_out(dtype(), {1, 1, 1, 7});
  EXPECT_EQ(kernel.run({q.value(), q.value(), cos.value(), cos.value(), q_out.value(), k_out.value()}),
            GRAFT_UNSUPPORTED);
}

INSTANTIATE_TEST_SUITE_P(Plugins, RotaryPosEmbTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
