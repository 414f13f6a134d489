#include <gtest/gtest.h>

#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"

namespace graft {
namespace {

class Generate : public ::testing::Test {
 protected:
  std::shared_ptr<PreTrainedModel> model_ =
      AutoModelForCausalLM::from_pretrained((testing::kGolden / "tiny-llama").string());
  at::Tensor prompt_ = testing::ids(nlohmann::json{5, 6, 7});
  std::vector<int64_t> never_;

  void refused(const GenerateOptions& options, const std::string& word) {
    try {
      model_->generate(prompt_, options);
      FAIL() << "accepted " << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
};

TEST_F(Generate, TheStreamerSeesEveryTokenOfEveryRowAndCanStop) {
  std::vector<int64_t> seen;
  const at::Tensor out = model_->generate(prompt_, {.max_new_tokens = 10,
                                                    .eos_token_id = never_,
                                                    .streamer = [&](std::span<const int64_t> tokens) {
                                                      EXPECT_EQ(tokens.size(), 1u);
                                                      seen.push_back(tokens[0]);
                                                      return seen.size() < 4;
                                                    }});
  ASSERT_EQ(out.size(1), 3 + 4);
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(out[0][int64_t(3 + i)].item<int64_t>(), seen[i]);
}

TEST_F(Generate, TheSameSeedDrawsTheSameTokensAndAnotherOneOthers) {
  const auto draw = [&](uint64_t seed) {
    return model_->generate(prompt_, {.max_new_tokens = 24, .do_sample = true, .temperature = 1.5, .top_k = 0,
                                      .seed = seed, .eos_token_id = never_});
  };
  EXPECT_TRUE(draw(1).equal(draw(1)));
  EXPECT_FALSE(draw(1).equal(draw(2)));
}

TEST_F(Generate, SamplingFromTheMostLikelyTokenAloneIsGreedy) {
  const at::Tensor greedy = model_->generate(prompt_, {.max_new_tokens = 12, .eos_token_id = never_});
  const at::Tensor top_k =
      model_->generate(prompt_, {.max_new_tokens = 12, .do_sample = true, .top_k = 1, .eos_token_id = never_});
  const at::Tensor top_p = model_->generate(
      prompt_, {.max_new_tokens = 12, .do_sample = true, .top_k = 0, .top_p = 1e-9, .eos_token_id = never_});
  EXPECT_TRUE(greedy.equal(top_k));
  EXPECT_TRUE(greedy.equal(top_p));
}

TEST_F(Generate, ZeroNewTokensGiveThePromptBack) {
  EXPECT_TRUE(model_->generate(prompt_, {.max_new_tokens = 0}).equal(prompt_));
}

TEST_F(Generate, OptionsOutOfRangeAreRefusedByName) {
  refused({.max_new_tokens = -1}, "max_new_tokens");
  refused({.do_sample = true, .temperature = 0.0}, "temperature");
  refused({.do_sample = true, .top_k = -1}, "top_k");
  refused({.do_sample = true, .top_p = 0.0}, "top_p");
  refused({.do_sample = true, .top_p = 1.5}, "top_p");
}

TEST_F(Generate, RightPaddingIsRefusedWithTheMend) {
  refused({.max_new_tokens = 1, .attention_mask = testing::ids(nlohmann::json{1, 1, 0})}, "pad on the left");
}

TEST_F(Generate, IdsOutsideTheVocabularyAreRefused) {
  prompt_ = testing::ids(nlohmann::json{5, 256});
  refused({.max_new_tokens = 1}, "256");
  prompt_ = testing::ids(nlohmann::json{5, -1});
  refused({.max_new_tokens = 1}, "-1");
}

TEST_F(Generate, APadTokenOutsideTheVocabularyIsRefusedWhereItIsNeeded) {
  const at::Tensor first = model_->generate(prompt_, {.max_new_tokens = 1});
  const std::vector<int64_t> eos = {first[0][3].item<int64_t>()};  // ends the first row at once
  EXPECT_NO_THROW(model_->generate(prompt_, {.max_new_tokens = 4, .eos_token_id = eos, .pad_token_id = 256}));
  prompt_ = testing::ids(nlohmann::json{{5, 6, 7}, {8, 9, 10}});
  refused({.max_new_tokens = 4, .eos_token_id = eos, .pad_token_id = 256}, "pad_token_id");
}

TEST_F(Generate, AMaskOfAnotherShapeIsRefused) {
  refused({.max_new_tokens = 1, .attention_mask = testing::ids(nlohmann::json{1, 1})}, "attention_mask");
}

TEST_F(Generate, RunsWithoutGradients) {
  ASSERT_TRUE(at::GradMode::is_enabled());
  model_->generate(prompt_, {.max_new_tokens = 2});
  EXPECT_TRUE(at::GradMode::is_enabled());
  for (const at::Tensor& parameter : model_->parameters()) EXPECT_FALSE(parameter.grad().defined());
}

}  // namespace
}  // namespace graft
