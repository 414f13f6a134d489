// The kernel that samples, beside the draws of the CPU for the same numbers.
#include "sampling.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>

#include "gpu.h"
#include "graft/runtime.h"
#include "sampler.h"

namespace graft {
namespace {

using testing::kGpu;

/// Of a vocabulary whose tokens are all about as likely, each has so little that float32's roundings decide between two. Between those
/// drawn there is next to nothing.
void expect_beside(const at::Tensor& tokens, const at::Tensor& others, const at::Tensor& logits, double temperature) {
  const at::Tensor sums = at::softmax(logits.to(at::kDouble) / temperature, -1).cumsum(-1);
  const auto until = [&](const at::Tensor& which) { return sums.gather(-1, which.unsqueeze(-1)); };
  EXPECT_LE((until(tokens) - until(others)).abs().max().item<double>(), 2e-5);
  EXPECT_LE((tokens != others).sum().item<int64_t>(), 1);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class GpuSampling : public testing::Gpu {
 protected:
  /// By the kernel; no other way is open.
  static at::Tensor sampled(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& uniform) {
    const Sampler sampler;
    const auto kernel = std::make_shared<const Kernel>(Runtime::shared().load(KernelRef::parse("graft-kernels/sampling:Sampling"), {.device = "cuda:0"}));
    testing::bind_alone(sampler, kernel, logits.scalar_type());
    const SamplingOnDevice settings(kGpu);
    settings.set(sampling);
    const at::NoGradGuard no_grad;
    const at::Tensor tokens = sampler.forward(logits, uniform.to(kGpu), settings, [] { return at::Tensor(); });
    return tokens.cpu();  // throws if the kernel left it to the own way
  }
};

TEST_F(GpuSampling, DrawsWhatTheCpuDraws) {
  const Sampling ways[] = {{true, 1.0, 0, 1.0}, {true, 0.6, 20, 0.95}, {true, 1.0, 0, 0.9}, {true, 2.5, 1, 1.0}, {true, 0.7, 500, 1.0},
                           {true, 0.3, 0, 0.5}, {true, 5.0, 0, 0.999}, {true, 1.0, 100000, 1e-9}};
  at::Generator numbers = at::detail::createCPUGenerator(3);
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const int64_t vocab : {int64_t{151936}, int64_t{32000}, int64_t{997}}) {
      for (const int64_t rows : {1, 24}) {
        const at::Tensor logits = (at::randn({rows, vocab}, numbers, at::kFloat) * 3).to(dtype);
        for (const Sampling& sampling : ways) {
          at::Generator generator = at::detail::createCPUGenerator(7), same = at::detail::createCPUGenerator(7);
          const at::Tensor expected = next_tokens(logits, sampling, generator);
          const at::Tensor tokens = sampled(logits.to(kGpu), sampling, at::rand({rows}, same, at::kDouble));
          SCOPED_TRACE(std::string(toString(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(vocab) + ", temperature " +
                       std::to_string(sampling.temperature) + ", top_k " + std::to_string(sampling.top_k) + ", top_p " + std::to_string(sampling.top_p));
          if (!tokens.equal(expected)) expect_beside(tokens, expected, logits, sampling.temperature);
        }
      }
    }
  }
}

TEST_F(GpuSampling, OfEqualLogitsTopKKeepsAllAndTopPTheLowestIds) {
  const at::Tensor logits = at::full({1000, 1000}, -1.5f).to(kGpu), uniform = at::linspace(0, 0.9999, 1000, at::kDouble);
  const auto largest = [&](const Sampling& sampling) { return sampled(logits, sampling, uniform).max().item<int64_t>(); };
  EXPECT_EQ(largest({true, 1.0, 5, 1.0}), 999);
  EXPECT_EQ(largest({true, 1.0, 0, 0.3}), 299);
  EXPECT_EQ(largest({true, 1.0, 5, 0.3}), 299);
  EXPECT_EQ(largest({true, 1.0, 0, 1e-6}), 0);
}

TEST_F(GpuSampling, OfNoNumbersIsMinusOneForTheirRowsAlone) {
  at::Tensor logits = at::full({5, 4096}, 0.5f);
  logits[0][17] = std::numeric_limits<float>::quiet_NaN();
  logits[1][4095] = kInfinity;
  logits[2].fill_(-kInfinity);
  logits[3].fill_(-kInfinity);
  logits[3][8] = -7;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const Sampling& sampling : {Sampling{true, 1.0, 0, 1.0}, Sampling{true, 0.6, 20, 0.95}}) {
      const at::Tensor tokens = sampled(logits.to(kGpu, dtype), sampling, at::full({5}, 0.25, at::kDouble));
      for (int row = 0; row < 3; ++row) EXPECT_EQ(tokens[row].item<int64_t>(), -1) << row;
      EXPECT_EQ(tokens[3].item<int64_t>(), 8);
      EXPECT_GE(tokens[4].item<int64_t>(), 0);
    }
  }
}

TEST_F(GpuSampling, TakesRowsThatStandApartAndBeginAnywhere) {
  at::Generator numbers = at::detail::createCPUGenerator(3), generator = at::detail::createCPUGenerator(7), same = at::detail::createCPUGenerator(7);
  const at::Tensor wide = at::randn({4, 5001}, numbers, at::kFloat).to(at::kBFloat16), logits = wide.narrow(1, 1, 4999);
  const Sampling sampling{true, 0.8, 50, 0.9};
  EXPECT_TRUE(sampled(wide.to(kGpu).narrow(1, 1, 4999), sampling, at::rand({4}, same, at::kDouble)).equal(next_tokens(logits, sampling, generator)));
}

}  // namespace
}  // namespace graft
