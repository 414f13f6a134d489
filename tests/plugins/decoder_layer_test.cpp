// DecoderLayer and Int8DecoderLayer on the CPU against their definition in double precision.
#include "decoder_layer_reference.h"

namespace graft::test {
namespace {

using namespace decoder_layer;

class DecoderLayerTest : public KernelTest {
 protected:
  virtual const char* entry() const { return "DecoderLayer"; }
  virtual bool in_8_bits() const { return false; }
  // By how many times the contract's tolerance an element may err.
  virtual double tolerances(const Shape&) const { return 1; }

  Kernel kernel(const Shape& s) const {
    return Kernel(file("decoder"), entry(), graft_contract_decoder_layer_1,
                  {number(kEps), number(1 / std::sqrt(double(s.dim))), integer(s.window)});
  }
  Layer layer(const Shape& s, bool gaps = false) const { return Layer(dtype(), s, in_8_bits(), gaps); }
  graft_status run(const Layer& layer, uint32_t threads) const {
    const Kernel kernel = this->kernel(layer.shape);
    if (in_8_bits()) {
      EXPECT_EQ(kernel.prepare(layer.arguments()), GRAFT_OK) << last_error();
    }
    return kernel.run(layer.arguments(), threads);
  }

  void check(const Shape& s, uint32_t threads = 2, bool gaps = false) {
    const Layer layer = this->layer(s, gaps);
    const Layer::Expected expected = layer.expected();
    const std::string what = s.text() + ", " + std::to_string(threads) + " threads";
    ASSERT_EQ(run(layer, threads), GRAFT_OK) << what << ": " << last_error();
    expect_close(graft_contract_decoder_layer_1, dtype(), expected.out, layer.arrays[kOut], what,
                 tolerances(s));
    for (int i = 0; i < 2; ++i)
      expect_close(graft_contract_decoder_layer_1, dtype(), expected.caches[i],
                   layer.arrays[size_t(kKCache + i)], what + ", cache", tolerances(s));
    for (const Array& array : layer.arrays) EXPECT_TRUE(array.untouched()) << what;
  }

  void check_shapes() {
    for (const auto& [query_heads, key_heads] :
         {std::pair(1, 1), std::pair(3, 3), std::pair(6, 2), std::pair(8, 1)})
      for (int64_t dim : {2, 14, 64})
        for (bool norms : {false, true}) {
          Shape s;
          s.query_heads = query_heads, s.key_heads = key_heads, s.dim = dim, s.head_norms = norms;
          check(s);
        }
    for (int64_t size : {1, 3, 31, 65, 130}) {
      Shape s;
      s.hidden = size, s.inner = 2 * size + 1;
      check(s, 3);
    }
  }

  // Keys within one block, at its edges, and in several splits.
  void check_lengths() {
    Shape s;
    s.capacity = 300;
    for (int64_t length : {0, 1, 62, 63, 64, 65, 127, 128, 200, 299}) {
      s.lengths = {length};
      check(s, 3);
    }
    s.lengths = {299, 0, 64, 130};
    for (uint32_t threads : {1, 2, 5}) check(s, threads);
    for (int64_t window : {1, 5, 64, 100}) {
      s.window = window;
      check(s);
    }
  }

  void check_several_tokens() {
    for (int64_t tokens : {2, 5, 8, 16}) {
      Shape s;
      s.tokens = tokens, s.capacity = 150;
      for (int64_t length : {0, 60, 120}) {
        s.lengths = {length};
        check(s, 3);
      }
      s.window = 3;
      check(s);
    }
    Shape s;
    s.tokens = 4, s.lengths = {0, 30, 7, 13};
    check(s);
  }

  void check_prompts() {
    for (int64_t tokens : {17, 70, 130})
      for (bool norms : {false, true}) {
        Shape s;
        s.tokens = tokens, s.capacity = 200, s.lengths = {0}, s.head_norms = norms;
        check(s, 3);
        s.lengths = {70, 0};
        check(s, 1);
        s.window = 20;
        check(s, 2, /*gaps=*/true);
      }
  }

  void check_bits_for_any_number_of_threads() {
    const Shape step{.hidden = 257, .inner = 500, .capacity = 300, .lengths = {200, 3}};
    const Shape prompt{.tokens = 40, .hidden = 130, .inner = 300, .capacity = 300, .lengths = {200, 3}};
    for (const Shape& s : {step, prompt}) {
      const Layer first = layer(s);
      ASSERT_EQ(run(first, 1), GRAFT_OK);
      for (uint32_t threads : {2, 3, 7, 16}) {
        const Layer other = layer(s);
        ASSERT_EQ(run(other, threads), GRAFT_OK);
        EXPECT_EQ(other.arrays[kOut].bits(), first.arrays[kOut].bits()) << s.text() << threads << " threads";
      }
    }
  }

  // Also from steps to prompts: a host may keep the largest call's for smaller ones.
  void check_workspace_grows() {
    const auto size = [&](int64_t batch, int64_t tokens, int64_t capacity, uint32_t threads) {
      Shape s;
      s.tokens = tokens, s.capacity = capacity, s.lengths = std::vector<int64_t>(size_t(batch), 0);
      const Layer layer = this->layer(s);
      const Kernel kernel = this->kernel(s);
      if (in_8_bits()) {
        EXPECT_EQ(kernel.prepare(layer.arguments()), GRAFT_OK) << last_error();
      }
      return kernel.workspace(layer.arguments(), threads);
    };
    for (int64_t tokens = 1; tokens < 40; ++tokens)
      EXPECT_LE(size(1, tokens, 40, 2), size(1, tokens + 1, 40, 2)) << tokens;
    for (int64_t batch = 1; batch < 4; ++batch)
      for (int64_t tokens : {1, 4, 5, 17})
        EXPECT_LE(size(batch, tokens, 40, 2), size(batch + 1, tokens, 40, 2)) << batch << " x " << tokens;
    for (int64_t tokens : {16, 17}) {
      for (int64_t capacity = 40; capacity < 400; capacity += 40)
        EXPECT_LE(size(1, tokens, capacity, 2), size(1, tokens, capacity + 40, 2)) << capacity;
      EXPECT_LE(size(1, tokens, 40, 2), size(1, tokens, 40, 3));
    }
  }

  // Four query heads do not go into three, and one is not what k_proj makes.
  void check_heads_that_do_not_fit(const Layer& right, const Kernel& kernel) {
    for (int64_t heads : {0, 3, 1}) {
      std::vector<graft_value> arguments = right.arguments();
      const Array cache(dtype(), {1, heads, 40, 16});
      arguments[kKCache] = arguments[kVCache] = cache.value();
      EXPECT_EQ(kernel.run(arguments, 2), GRAFT_UNSUPPORTED) << heads;
    }
  }

  // What a length that the cache has no room for gives is open; it lies within the arguments.
  void check_lengths_that_are_none() {
    for (int64_t length : {int64_t(-7), int64_t(40), int64_t(INT32_MAX)}) {
      Layer layer = this->layer({});
      layer.arrays[kLength].set(0, double(length));
      EXPECT_EQ(run(layer, 2), GRAFT_OK) << last_error();
      for (const Array& array : layer.arrays) EXPECT_TRUE(array.untouched()) << length;
    }
  }
};

TEST_P(DecoderLayerTest, HeadsAndSizesOfAllKinds) {
  check_shapes();
}
TEST_P(DecoderLayerTest, AnyLengthOfTheCacheAndEachRowItsOwn) {
  check_lengths();
}
TEST_P(DecoderLayerTest, SeveralNewTokens) {
  check_several_tokens();
}
TEST_P(DecoderLayerTest, CachesWithGaps) {
  check({}, 2, /*gaps=*/true);
}
TEST_P(DecoderLayerTest, ALengthThatIsNoneStaysWithinTheCache) {
  check_lengths_that_are_none();
}
TEST_P(DecoderLayerTest, SameBitsForAnyNumberOfThreads) {
  check_bits_for_any_number_of_threads();
}

// Its steps wait for one another, and must not for a thread that has not begun.
TEST_P(DecoderLayerTest, EndsWhereTheHostRunsOneThreadAfterTheOther) {
  const Layer at_once = layer({}), one_by_one = layer({});
  ASSERT_EQ(run(at_once, 3), GRAFT_OK);
  ASSERT_EQ(kernel({}).run(one_by_one.arguments(), 3, /*at_once=*/false), GRAFT_OK) << last_error();
  EXPECT_EQ(one_by_one.arrays[kOut].bits(), at_once.arrays[kOut].bits());
}

TEST_P(DecoderLayerTest, AnEmptyBatchIsNothing) {
  Shape s;
  s.lengths = {};
  EXPECT_EQ(run(layer(s), 2), GRAFT_OK) << last_error();
}

TEST_P(DecoderLayerTest, Prompts) {
  check_prompts();
}

TEST_P(DecoderLayerTest, WorkspaceGrowsWithEveryDimension) {
  check_workspace_grows();
}

TEST_P(DecoderLayerTest, ManyRowsOfFewTokensAreLeftToTheLayer) {
  Shape s;
  s.lengths = std::vector<int64_t>(17, 3);
  EXPECT_EQ(run(layer(s), 2), GRAFT_UNSUPPORTED);
  s.lengths.pop_back();
  check(s);
}

TEST_P(DecoderLayerTest, HeadsThatDoNotFitTheCacheAreRefused) {
  check_heads_that_do_not_fit(layer({}), kernel({}));
}

INSTANTIATE_TEST_SUITE_P(Plugins, DecoderLayerTest, testing::ValuesIn(all_cases()), case_name);

// With weights that 8 bits hold exactly it errs by what rounding inputs to 16 bits may cost: of thousands of
// elements near zero one comes to 1.2 times what a float kernel may.
class Int8DecoderLayerTest : public DecoderLayerTest {
 protected:
  const char* entry() const override { return "Int8DecoderLayer"; }
  bool in_8_bits() const override { return true; }
  double tolerances(const Shape& s) const override {
    const bool prompt = s.tokens * int64_t(s.lengths.size()) > 16;
    return prompt && same(dtype(), kFloat32) ? 2 : 1;
  }
};

TEST_P(Int8DecoderLayerTest, HeadsAndSizesOfAllKinds) {
  check_shapes();
}
TEST_P(Int8DecoderLayerTest, AnyLengthOfTheCacheAndEachRowItsOwn) {
  check_lengths();
}
TEST_P(Int8DecoderLayerTest, SeveralNewTokens) {
  check_several_tokens();
}
TEST_P(Int8DecoderLayerTest, CachesWithGaps) {
  check({}, 2, /*gaps=*/true);
}
TEST_P(Int8DecoderLayerTest, ALengthThatIsNoneStaysWithinTheCache) {
  check_lengths_that_are_none();
}
TEST_P(Int8DecoderLayerTest, SameBitsForAnyNumberOfThreads) {
  check_bits_for_any_number_of_threads();
}

TEST_P(Int8DecoderLayerTest, Prompts) {
  check_prompts();
  Shape s;
  s.lengths = std::vector<int64_t>(20, 3);
  check(s);
}

TEST_P(Int8DecoderLayerTest, WorkspaceGrowsWithEveryDimension) {
  check_workspace_grows();
}

TEST_P(Int8DecoderLayerTest, HeadsThatDoNotFitTheCacheAreRefused) {
  const Layer right = layer({});
  const Kernel one = kernel({});
  ASSERT_EQ(one.prepare(right.arguments()), GRAFT_OK);
  check_heads_that_do_not_fit(right, one);
}

TEST_P(Int8DecoderLayerTest, TakesNewWeightsWhenPreparedAgain) {
  const Kernel one = kernel({});
  Shape without;
  without.head_norms = false;
  const Layer before = layer({}), after = layer(without);
  ASSERT_EQ(one.prepare(before.arguments()), GRAFT_OK);
  ASSERT_EQ(one.prepare(after.arguments()), GRAFT_OK);
  const Layer::Expected expected = after.expected();
  ASSERT_EQ(one.run(after.arguments(), 2), GRAFT_OK);
  expect_close(graft_contract_decoder_layer_1, dtype(), expected.out, after.arrays[kOut], "prepared again");
}

INSTANTIATE_TEST_SUITE_P(Plugins, Int8DecoderLayerTest, testing::ValuesIn(float_cases()), case_name);

}  // namespace
}  // namespace graft::test
