// ForCausalLMLoss against its definition in double precision.
#include <graft/contracts/for_causal_lm_loss.h>

#include <cmath>

#include "gradients.h"

namespace graft::test {
namespace {

constexpr double kIgnored = -100;

struct Expected {
  double loss = 0;
  std::vector<double> lse, grad_hidden, grad_weight;
};

Expected reference(const Array& hidden, const Array& weight, const Array& labels, double grad_loss) {
  const size_t rows = size_t(hidden.shape()[0]), width = size_t(hidden.shape()[1]),
               vocabulary = size_t(weight.shape()[0]);
  std::vector<double> x, w;
  for (int64_t i = 0; i < hidden.numel(); ++i) x.push_back(hidden.get(i));
  for (int64_t i = 0; i < weight.numel(); ++i) w.push_back(weight.get(i));
  double counted = 0;
  for (size_t row = 0; row < rows; ++row) counted += labels.get(int64_t(row)) != kIgnored;
  Expected e;
  e.grad_hidden.resize(rows * width), e.grad_weight.resize(vocabulary * width);
  for (size_t row = 0; row < rows; ++row) {
    std::vector<double> logits(vocabulary);
    for (size_t v = 0; v < vocabulary; ++v)
      for (size_t i = 0; i < width; ++i) logits[v] += x[row * width + i] * w[v * width + i];
    double peak = -HUGE_VAL, total = 0;
    for (double z : logits) peak = z != z ? z : std::max(peak, z);
    for (double z : logits) total += std::exp(z - peak);
    e.lse.push_back(peak + std::log(total));
    const double label = labels.get(int64_t(row));
    if (label == kIgnored) continue;
    e.loss += (e.lse.back() - logits[size_t(label)]) / counted;
    for (size_t v = 0; v < vocabulary; ++v) {
      const double grad =
          (std::exp(logits[v] - e.lse.back()) - (double(v) == label ? 1 : 0)) * grad_loss / counted;
      for (size_t i = 0; i < width; ++i) {
        e.grad_hidden[row * width + i] += grad * w[v * width + i];
        e.grad_weight[v * width + i] += grad * x[row * width + i];
      }
    }
  }
  if (counted == 0) e.loss = NAN;
  return e;
}

class ForCausalLMLossTest : public KernelTest {
 protected:
  Kernel kernel() const {
    return Kernel(file("loss"), "ForCausalLMLoss", graft_contract_for_causal_lm_loss_1);
  }

  // Every `ignored_every`-th label is ignored; 0: none.
  static Array random_labels(int64_t rows, int64_t vocabulary, int64_t ignored_every) {
    Array labels(kInt64, {rows});
    for (int64_t i = 0; i < rows; ++i)
      labels.set(i, ignored_every > 0 && i % ignored_every == 0 ? kIgnored : double(i * 7919 % vocabulary));
    return labels;
  }

  void check(const Array& hidden, const Array& weight, const Array& labels, const std::string& what,
             uint32_t threads = 1) {
    Array loss(kFloat32, {}), lse(kFloat32, labels.shape());
    ASSERT_EQ(
        kernel().run({hidden.value(), weight.value(), labels.value(), loss.value(), lse.value()}, threads),
        GRAFT_OK)
        << last_error();
    const double grad_loss = random_grad_outputs(kernel(), call(hidden, weight, labels), dtype())[0].get(0);
    const Expected expected = reference(hidden, weight, labels, grad_loss);
    const graft_contract& contract = graft_contract_for_causal_lm_loss_1;
    expect_close(contract, kFloat32, {expected.loss}, loss, what + " loss");
    expect_close(contract, kFloat32, expected.lse, lse, what + " lse");

    check_gradients(kernel(), call(hidden, weight, labels), what, 0);
    const auto actual = gradients(kernel(), call(hidden, weight, labels),
                                  random_grad_outputs(kernel(), call(hidden, weight, labels), dtype()));
    expect_gradient(kernel(), dtype(), expected.grad_hidden, actual[0], what + " grad_hidden");
    expect_gradient(kernel(), dtype(), expected.grad_weight, actual[1], what + " grad_weight");
  }
  static Differentiated call(const Array& hidden, const Array& weight, const Array& labels) {
    return {{hidden, weight, labels}, {Array(kFloat32, {}), Array(kFloat32, labels.shape())}, 0b011};
  }
  void check(int64_t rows, int64_t vocabulary, int64_t width, int64_t ignored_every,
             const std::string& what) {
    check(Array(dtype(), {rows, width}).random(1, -2, 2), Array(dtype(), {vocabulary, width}).random(2),
          random_labels(rows, vocabulary, ignored_every), what, 3);
  }
};

TEST_P(ForCausalLMLossTest, SmallSizes) {
  for (int64_t size : {1, 2, 7, 8, 9, 15, 16, 17, 33}) {
    check(3, size, 5, 0, "vocabulary " + std::to_string(size));
    check(3, 11, size, 2, "width " + std::to_string(size));
    check(size, 11, 5, 3, std::to_string(size) + " rows");
  }
}

TEST_P(ForCausalLMLossTest, AcrossBlocksSplitsAndChunks) {
  check(200, 97, 7, 5, "two blocks of rows");
  check(5, 3001, 6, 0, "two splits and chunks of the vocabulary");
  check(1030, 2100, 3, 2, "two chunks of rows and of the vocabulary");
  check(3, 300, 300, 0, "depth beyond one block");
}

TEST_P(ForCausalLMLossTest, HiddenOfAnyStride) {
  check(Array::with_gaps(dtype(), {9, 20}, 5).random(1), Array(dtype(), {50, 20}).random(2),
        random_labels(9, 50, 0), "gaps");
}

TEST_P(ForCausalLMLossTest, AllIgnoredGivesNanAndNoGradients) {
  check(4, 30, 8, 1, "all ignored");
  check(0, 30, 8, 0, "no rows");
}

TEST_P(ForCausalLMLossTest, GreatLogitsDoNotOverflow) {
  check(Array(dtype(), {6, 16}).random(1, -30, 30), Array(dtype(), {70, 16}).random(2, -30, 30),
        random_labels(6, 70, 0), "great logits");
}

TEST_P(ForCausalLMLossTest, NanStaysInItsRowAndIgnoredRowsDoNotCount) {
  Array hidden = Array(dtype(), {6, 8}).random(1);
  hidden.set(3 * 8 + 1, std::nan(""));
  const Array weight = Array(dtype(), {40, 8}).random(2);
  Array labels = random_labels(6, 40, 0);
  Array loss(kFloat32, {});
  const auto run = [&] {
    EXPECT_EQ(kernel().run({hidden.value(), weight.value(), labels.value(), loss.value(), none()}), GRAFT_OK);
    return loss.get(0);
  };
  EXPECT_TRUE(std::isnan(run()));
  const auto grad = gradients(kernel(), call(hidden, weight, labels),
                              random_grad_outputs(kernel(), call(hidden, weight, labels), dtype()));
  for (size_t i = 0; i < grad[0].size(); ++i) EXPECT_EQ(std::isnan(grad[0][i]), i / 8 == 3);
  labels.set(3, kIgnored);
  EXPECT_FALSE(std::isnan(run()));
}

TEST_P(ForCausalLMLossTest, LabelOutsideOfTheVocabularyIsAnInvalidArgument) {
  const Array hidden = Array(dtype(), {2, 8}).random(1), weight = Array(dtype(), {40, 8}).random(2);
  Array labels = random_labels(2, 40, 0), loss(kFloat32, {});
  labels.set(1, 40);
  EXPECT_EQ(kernel().run({hidden.value(), weight.value(), labels.value(), loss.value(), none()}),
            GRAFT_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "label 40 of row 1 is outside of the vocabulary of 40");
}

TEST_P(ForCausalLMLossTest, LossHasTheSameBitsForAnyNumberOfThreads) {
  const Array hidden = Array(dtype(), {400, 20}).random(1), weight = Array(dtype(), {5000, 20}).random(2);
  const Array labels = random_labels(400, 5000, 7);
  std::vector<std::byte> first;
  for (uint32_t threads : {1, 2, 3, 16}) {
    Array loss(kFloat32, {}), lse(kFloat32, {400});
    ASSERT_EQ(
        kernel().run({hidden.value(), weight.value(), labels.value(), loss.value(), lse.value()}, threads),
        GRAFT_OK);
    std::vector<std::byte> bits = loss.bits();
    for (std::byte b : lse.bits()) bits.push_back(b);
    if (first.empty()) first = bits;
    EXPECT_EQ(bits, first) << threads << " threads";
  }
}

TEST_P(ForCausalLMLossTest, WorkspaceNeverHoldsAllLogits) {
  const auto size = [&](int64_t rows, int64_t vocabulary, uint32_t pass) {
    const Array hidden(dtype(), {rows, 4}), weight(dtype(), {vocabulary, 4}), labels(kInt64, {rows});
    return kernel().workspace({hidden.value(), weight.value(), labels.value(), none(), none()}, 2, pass);
  };
  for (uint32_t pass : {GRAFT_WORKSPACE_FORWARD, GRAFT_WORKSPACE_BACKWARD}) {
    // However large the vocabulary, a row costs as much; however many rows, an entry of the vocabulary
    // nothing.
    EXPECT_EQ(size(2048, 16384, pass), size(2048, 40000, pass));
    const size_t each = size(4096, 40000, pass) - size(2048, 40000, pass);
    EXPECT_LE(each, 2048 * 400u);
    for (int64_t n : {1, 5, 100, 1023, 1024, 2047, 5000}) {
      EXPECT_LE(size(n, 2000, pass), size(n + 1, 2000, pass));
      EXPECT_LE(size(100, n, pass), size(100, n + 1, pass));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Plugins, ForCausalLMLossTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace graft::test
