// DecoderLayer and Int8DecoderLayer on the CPU against their definition in double precision.
#include <graft/contracts/decoder_layer.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness.h"

namespace graft::test {
namespace {

enum {
  kX,
  kInputNorm,
  kQ,
  kK,
  kV,
  kO,
  kQNorm,
  kKNorm,
  kPostNorm,
  kGate,
  kUp,
  kDown,
  kCos,
  kSin,
  kLength,
  kKCache,
  kVCache,
  kOut
};

constexpr double kEps = 1e-5;

struct Shape {
  int64_t tokens = 1, hidden = 48, query_heads = 4, key_heads = 2, dim = 16, inner = 72, capacity = 40;
  std::vector<int64_t> lengths = {5};  // one for each row of the batch
  int64_t window = 0;
  bool head_norms = true;

  int64_t batch() const { return int64_t(lengths.size()); }
  std::string text() const {
    std::string text = std::to_string(tokens) + " tokens, " + std::to_string(query_heads) + "/" +
                       std::to_string(key_heads) + " heads of " + std::to_string(dim) + ", window " +
                       std::to_string(window) + (head_norms ? ", norms" : "") + ", lengths";
    for (int64_t length : lengths) text += " " + std::to_string(length);
    return text;
  }
};

// All arguments; what the caches hold beyond a row's length is NaN.
struct Layer {
  Shape shape;
  std::vector<Array> arrays;

  Layer(graft_dtype dtype, const Shape& s, bool exact, bool gaps = false) : shape(s) {
    const int64_t queries = s.query_heads * s.dim, keys = s.key_heads * s.dim;
    const auto weight = [&](int64_t columns, int64_t depth) {
      const auto seed = uint32_t(arrays.size());
      const double scale = 1 / std::sqrt(double(std::max<int64_t>(1, depth)));
      arrays.push_back(exact ? whole_weight(dtype, columns, depth, seed, scale)
                             : Array(dtype, {columns, depth}).random(seed, -scale, scale));
    };
    const auto norm = [&](int64_t size) {
      arrays.push_back(Array(dtype, {size}).random(uint32_t(arrays.size()), 0.5, 1.5));
    };
    arrays.push_back(Array(dtype, {s.batch(), s.tokens, s.hidden}).random(99));
    norm(s.hidden);
    weight(queries, s.hidden), weight(keys, s.hidden), weight(keys, s.hidden), weight(s.hidden, queries);
    norm(s.dim), norm(s.dim), norm(s.hidden);
    weight(s.inner, s.hidden), weight(s.inner, s.hidden), weight(s.hidden, s.inner);
    for (int i = 0; i < 2; ++i) {
      arrays.push_back(Array(dtype, {s.capacity, s.dim}));
      for (int64_t at = 0; at < arrays.back().numel(); ++at) {
        const double angle = double(at / s.dim) / double(1 + at % s.dim % (s.dim / 2));
        arrays.back().set(at, i == 0 ? std::cos(angle) : std::sin(angle));
      }
    }
    arrays.push_back(int32s(s.lengths));
    for (int i = 0; i < 2; ++i) {
      const std::vector<int64_t> sizes = {s.batch(), s.key_heads, s.capacity, s.dim};
      Array cache = gaps ? Array::with_gaps(dtype, sizes, 3) : Array(dtype, sizes);
      const Array values = Array(dtype, sizes).random(uint32_t(70 + i), -2, 2);
      for (int64_t at = 0; at < cache.numel(); ++at) {
        const int64_t position = at / s.dim % s.capacity, b = at / (s.dim * s.capacity * s.key_heads);
        cache.set(
            at, position < s.lengths[size_t(b)] ? values.get(at) : std::numeric_limits<double>::quiet_NaN());
      }
      arrays.push_back(std::move(cache));
    }
    arrays.push_back(Array(dtype, {s.batch(), s.tokens, s.hidden}));
  }

  std::vector<graft_value> arguments() const {
    std::vector<graft_value> values;
    for (const Array& array : arrays) values.push_back(array.value());
    if (!shape.head_norms) values[kQNorm] = values[kKNorm] = none();
    return values;
  }

  using Row = std::vector<double>;
  Row times(const Row& x, int weight) const {
    const Array& w = arrays[size_t(weight)];
    Row out;
    for (int64_t column = 0; column < w.shape()[0]; ++column) {
      double sum = 0;
      for (size_t k = 0; k < x.size(); ++k) sum += x[k] * w.get(column * int64_t(x.size()) + int64_t(k));
      out.push_back(sum);
    }
    return out;
  }
  Row normed(const Row& x, int norm) const {
    double squares = 0;
    for (double value : x) squares += value * value;
    Row out;
    for (size_t i = 0; i < x.size(); ++i)
      out.push_back(x[i] / std::sqrt(squares / double(x.size()) + kEps) *
                    arrays[size_t(norm)].get(int64_t(i)));
    return out;
  }
  // Heads one by one through their norm and rotation.
  Row turned(const Row& heads, int norm, int64_t position) const {
    Row out;
    const int64_t dim = shape.dim;
    for (size_t first = 0; first < heads.size(); first += size_t(dim)) {
      Row head(heads.begin() + long(first), heads.begin() + long(first) + dim);
      if (shape.head_norms) head = normed(head, norm);
      for (int64_t i = 0; i < dim; ++i) {
        const double other = i < dim / 2 ? -head[size_t(i + dim / 2)] : head[size_t(i - dim / 2)];
        out.push_back(head[size_t(i)] * arrays[kCos].get(position * dim + i) +
                      other * arrays[kSin].get(position * dim + i));
      }
    }
    return out;
  }

  // out, and what both caches hold at the end.
  struct Expected {
    Row out;
    Row caches[2];
  };
  Expected expected() const {
    Expected e;
    for (int i = 0; i < 2; ++i)
      for (int64_t at = 0; at < arrays[size_t(kKCache + i)].numel(); ++at)
        e.caches[i].push_back(arrays[size_t(kKCache + i)].get(at));
    for (int64_t b = 0; b < shape.batch(); ++b)
      for (int64_t token = 0; token < shape.tokens; ++token) one(b, token, e);
    return e;
  }

 private:
  void one(int64_t b, int64_t token, Expected& e) const {
    const int64_t position = shape.lengths[size_t(b)] + token, dim = shape.dim;
    Row x;
    for (int64_t i = 0; i < shape.hidden; ++i)
      x.push_back(arrays[kX].get((b * shape.tokens + token) * shape.hidden + i));
    const Row in = normed(x, kInputNorm);
    const Row q = turned(times(in, kQ), kQNorm, position), k = turned(times(in, kK), kKNorm, position),
              v = times(in, kV);
    const auto place = [&](int64_t head, int64_t at) {
      return size_t(((b * shape.key_heads + head) * shape.capacity + at) * dim);
    };
    for (int64_t head = 0; head < shape.key_heads; ++head) {
      std::copy_n(k.begin() + head * dim, dim, e.caches[0].begin() + long(place(head, position)));
      std::copy_n(v.begin() + head * dim, dim, e.caches[1].begin() + long(place(head, position)));
    }
    Row attended;
    for (int64_t head = 0; head < shape.query_heads; ++head) {
      const int64_t key_head = head / (shape.query_heads / shape.key_heads);
      const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
      Row weights;
      for (int64_t at = first; at <= position; ++at) {
        double score = 0;
        for (int64_t d = 0; d < dim; ++d)
          score += q[size_t(head * dim + d)] * e.caches[0][place(key_head, at) + size_t(d)];
        weights.push_back(score / std::sqrt(double(dim)));
      }
      const double peak = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - peak);
      for (int64_t d = 0; d < dim; ++d) {
        double sum = 0;
        for (size_t i = 0; i < weights.size(); ++i)
          sum += weights[i] / total * e.caches[1][place(key_head, first + int64_t(i)) + size_t(d)];
        attended.push_back(sum);
      }
    }
    const Row o = times(attended, kO);
    for (size_t i = 0; i < x.size(); ++i) x[i] += o[i];
    const Row second = normed(x, kPostNorm);
    Row gate = times(second, kGate);
    const Row up = times(second, kUp);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    const Row down = times(gate, kDown);
    for (size_t i = 0; i < x.size(); ++i) e.out.push_back(x[i] + down[i]);
  }
};

class DecoderLayerTest : public KernelTest {
 protected:
  virtual const char* entry() const { return "DecoderLayer"; }
  virtual bool in_8_bits() const { return false; }

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
    expect_close(graft_contract_decoder_layer_1, dtype(), expected.out, layer.arrays[kOut], what);
    for (int i = 0; i < 2; ++i)
      expect_close(graft_contract_decoder_layer_1, dtype(), expected.caches[i],
                   layer.arrays[size_t(kKCache + i)], what + ", cache");
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

  void check_bits_for_any_number_of_threads(const Shape& s) {
    const Layer first = layer(s);
    ASSERT_EQ(run(first, 1), GRAFT_OK);
    for (uint32_t threads : {2, 3, 7, 16}) {
      const Layer other = layer(s);
      ASSERT_EQ(run(other, threads), GRAFT_OK);
      EXPECT_EQ(other.arrays[kOut].bits(), first.arrays[kOut].bits()) << threads << " threads";
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
  check_bits_for_any_number_of_threads({.hidden = 257, .inner = 500, .capacity = 300, .lengths = {200, 3}});
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

TEST_P(DecoderLayerTest, MoreRowsThanAStepStreamsAreLeftToTheLayer) {
  Shape s;
  s.tokens = 17;
  EXPECT_EQ(run(layer(s), 2), GRAFT_UNSUPPORTED);
  s.tokens = 1, s.lengths = std::vector<int64_t>(17, 3);
  EXPECT_EQ(run(layer(s), 2), GRAFT_UNSUPPORTED);
  s.lengths.pop_back();
  check(s);
}

TEST_P(DecoderLayerTest, HeadsThatDoNotFitTheCacheAreRefused) {
  check_heads_that_do_not_fit(layer({}), kernel({}));
}

INSTANTIATE_TEST_SUITE_P(Plugins, DecoderLayerTest, testing::ValuesIn(all_cases()), case_name);

// With weights that 8 bits hold exactly it is as right as a float kernel.
class Int8DecoderLayerTest : public DecoderLayerTest {
 protected:
  const char* entry() const override { return "Int8DecoderLayer"; }
  bool in_8_bits() const override { return true; }
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
  check_bits_for_any_number_of_threads({.hidden = 257, .inner = 500, .capacity = 300, .lengths = {200, 3}});
  check_bits_for_any_number_of_threads(
      {.tokens = 40, .hidden = 130, .inner = 300, .capacity = 300, .lengths = {200, 3}});
}

TEST_P(Int8DecoderLayerTest, Prompts) {
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
  Shape s;
  s.lengths = std::vector<int64_t>(20, 3);
  check(s);
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
