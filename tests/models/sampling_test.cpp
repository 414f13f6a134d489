#include "sampling.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "graft/error.h"

namespace graft {
namespace {

/// How often each of four tokens, with logits 0 1 2 3, comes out of 20,000 draws.
std::map<int64_t, double> shares(const Sampling& sampling) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const at::Tensor logits = at::tensor({0.f, 1.f, 2.f, 3.f}).expand({20000, 4});
  const at::Tensor drawn = next_tokens(logits, sampling, generator);
  std::map<int64_t, double> share;
  for (int64_t i = 0; i < drawn.size(0); ++i) share[drawn.const_data_ptr<int64_t>()[i]] += 1.0 / 20000;
  return share;
}

double softmax_share(double logit, double temperature, std::initializer_list<double> logits) {
  double sum = 0;
  for (double other : logits) sum += std::exp(other / temperature);
  return std::exp(logit / temperature) / sum;
}

TEST(Sampling, GreedyTakesTheLargestLogit) {
  EXPECT_EQ(shares({.do_sample = false}), (std::map<int64_t, double>{{3, shares({.do_sample = false})[3]}}));
}

TEST(Sampling, TemperatureFollowsSoftmax) {
  const auto share = shares({.do_sample = true, .temperature = 2.0});
  for (int64_t token = 0; token < 4; ++token) {
    EXPECT_NEAR(share.at(token), softmax_share(double(token), 2.0, {0, 1, 2, 3}), 0.015);
  }
}

TEST(Sampling, TopKKeepsTheKMostLikelyAndTheirProportions) {
  const auto share = shares({.do_sample = true, .top_k = 2});
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(3), softmax_share(3, 1, {2, 3}), 0.015);
}

TEST(Sampling, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.032 0.087 0.237 0.644: 0.6 is reached by one, 0.7 by two, 0.9 by three.
  EXPECT_EQ(shares({.do_sample = true, .top_p = 0.6}).size(), 1u);
  EXPECT_EQ(shares({.do_sample = true, .top_p = 0.7}).size(), 2u);
  EXPECT_EQ(shares({.do_sample = true, .top_p = 0.9}).size(), 3u);
}

TEST(Sampling, TopPKeepsProportionsWhereThousandsAreNeededToReachIt) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const at::Tensor logits = at::cat({at::full({4000}, std::log(2.0)), at::zeros({4000})}).expand({2000, 8000});
  // Twice as likely, the first 4000 make two thirds; 0.8 takes some of the others too, 1600 of 4000.
  const at::Tensor drawn = next_tokens(logits, {.do_sample = true, .top_p = 0.8}, generator);
  const double first = (drawn < 4000).sum().item<double>() / 2000;
  EXPECT_NEAR(first, 8.0 / 9.6, 0.03);
}

TEST(Sampling, OfEqualLogitsTopKKeepsAllAndTopPTheLowestIds) {
  const auto drawn = [](const Sampling& sampling) {
    at::Generator generator = at::detail::createCPUGenerator(7);
    return next_tokens(at::full({5000, 10}, -1.5), sampling, generator);
  };
  EXPECT_EQ(drawn({.do_sample = true, .top_k = 2}).max().item<int64_t>(), 9);
  EXPECT_EQ(drawn({.do_sample = true, .top_p = 0.29}).max().item<int64_t>(), 2);
  EXPECT_EQ(drawn({.do_sample = true, .top_k = 2, .top_p = 0.29}).max().item<int64_t>(), 2);
}

TEST(Sampling, OnADeviceDrawsTheSame) {
  at::Generator numbers = at::detail::createCPUGenerator(3);
  const at::Tensor logits = at::randn({64, 500}, numbers, at::kFloat) * 3;
  for (const Sampling& sampling : {Sampling{true, 1.0, 0, 1.0}, Sampling{true, 0.6, 20, 0.95}, Sampling{true, 1.5, 0, 0.9}, Sampling{true, 1.0, 40, 1.0}}) {
    at::Generator generator = at::detail::createCPUGenerator(7), same = at::detail::createCPUGenerator(7);
    const at::Tensor expected = next_tokens(logits, sampling, generator);
    EXPECT_TRUE(next_tokens_on_device(logits, sampling, at::rand({64}, same, at::kDouble)).equal(expected)) << sampling.top_k << " " << sampling.top_p;
  }
  const at::Tensor wrong = at::full({2, 8}, std::nanf(""));
  EXPECT_TRUE((next_tokens_on_device(wrong, {.do_sample = true}, at::full({2}, 0.5, at::kDouble)) == -1).all().item<bool>());
}

TEST(Sampling, WhatHasNoProbabilityIsNeverDrawn) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const at::Tensor logits = at::full({5000, 64}, -1e4);
  logits.select(1, 41).fill_(3);
  EXPECT_TRUE((next_tokens(logits, {.do_sample = true}, generator) == 41).all().item<bool>());
}

TEST(Sampling, LogitsThatAreNoNumbersAreAnError) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  at::Tensor some = at::zeros({2, 8});
  for (const float wrong : {NAN, INFINITY}) {
    some[1][3] = wrong;
    for (const Sampling& sampling : {Sampling{.do_sample = true}, Sampling{.do_sample = true, .top_k = 4}, Sampling{.do_sample = true, .top_p = 0.9}})
      EXPECT_THROW(next_tokens(some, sampling, generator), Error) << wrong;
  }
}

TEST(Sampling, GreedyTakesTheFirstOfTheLargest) {
  at::Generator generator = at::detail::createCPUGenerator(0);
  at::Tensor logits = at::randn({5, 1000});
  logits[0][17] = logits[0][900] = 50;
  logits[1][3] = NAN;
  logits[1][700] = NAN;
  logits[2].fill_(-INFINITY);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const at::Tensor& given : {logits.to(dtype), logits.to(dtype).t().contiguous().t()})
      EXPECT_TRUE(next_tokens(given, {}, generator).equal(at::argmax(given, -1))) << dtype;
  }
  EXPECT_EQ(next_tokens(logits, {}, generator)[0].item<int64_t>(), 17);
  EXPECT_EQ(next_tokens(logits, {}, generator)[1].item<int64_t>(), 3);
}

TEST(Sampling, TopKAboveTheVocabularyKeepsAll) {
  EXPECT_EQ(shares({.do_sample = true, .top_k = 50}).size(), 4u);
}

}  // namespace
}  // namespace graft
