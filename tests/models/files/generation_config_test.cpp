#include "graft/generation_config.h"

#include "support.h"

namespace graft {
namespace {

using testing::throws_error;

TEST(GenerationConfig, WithoutAFileItIsTransformersDefaultsAndTheModelsTokens) {
  testing::TemporaryFolder folder;
  ModelConfig model;
  model.bos_token_id = 1;
  model.eos_token_ids = {2, 3};
  const GenerationConfig config = load_generation_config(folder.path(), model);
  EXPECT_FALSE(config.do_sample);
  EXPECT_EQ(config.temperature, 1.0);
  EXPECT_EQ(config.top_k, 50);
  EXPECT_EQ(config.top_p, 1.0);
  EXPECT_EQ(config.repetition_penalty, 1.0);
  EXPECT_FALSE(config.max_new_tokens);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, (std::vector<std::int64_t>{2, 3}));
}

TEST(GenerationConfig, TheFilesValuesWinOverTheModels) {
  testing::TemporaryFolder folder;
  testing::write_file(folder / "generation_config.json",
                      R"({"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.95,"max_new_tokens":7,)"
                      R"("repetition_penalty":1.1,"eos_token_id":[151645,151643],"pad_token_id":151643})");
  ModelConfig model;
  model.eos_token_ids = {9};
  model.pad_token_id = 8;
  const GenerationConfig config = load_generation_config(folder.path(), model);
  EXPECT_TRUE(config.do_sample);
  EXPECT_EQ(config.temperature, 0.6);
  EXPECT_EQ(config.top_k, 20);
  EXPECT_EQ(config.top_p, 0.95);
  EXPECT_EQ(config.repetition_penalty, 1.1);
  EXPECT_EQ(config.max_new_tokens, 7);
  EXPECT_EQ(config.eos_token_ids, (std::vector<std::int64_t>{151645, 151643}));
  EXPECT_EQ(config.pad_token_id, 151643);
}

TEST(GenerationConfig, ValuesOutOfRangeAreNamed) {
  const auto refuses = [](const std::string& json, const std::string& part) {
    return throws_error(ErrorCode::corrupt, part, [&] { parse_generation_config(json, {}); });
  };
  EXPECT_TRUE(refuses(R"({"temperature":-1})", "temperature"));
  EXPECT_TRUE(refuses(R"({"top_k":-1})", "top_k"));
  EXPECT_TRUE(refuses(R"({"top_p":0})", "top_p"));
  EXPECT_TRUE(refuses(R"({"top_p":1.5})", "top_p"));
  EXPECT_TRUE(refuses(R"({"repetition_penalty":0})", "repetition_penalty"));
  EXPECT_TRUE(refuses(R"({"max_new_tokens":0})", "max_new_tokens"));
  EXPECT_TRUE(refuses(R"({"do_sample":1})", "do_sample"));
  EXPECT_TRUE(refuses(R"({"eos_token_id":["x"]})", "eos_token_id"));
  EXPECT_TRUE(refuses("]", "generation_config.json"));
}

}  // namespace
}  // namespace graft
