// Ids and texts that the tokenizers package gave, see tests/golden/README.md.
#include "graft/stream_decoder.h"
#include "graft/tokenizer.h"
#include "support.h"

namespace graft {
namespace {

using Ids = std::vector<std::int64_t>;

void expect_all(const Tokenizer& tokenizer, const nlohmann::json& cases) {
  ASSERT_FALSE(cases.empty());
  for (const auto& one : cases) {
    const auto text = one["text"].get<std::string>();
    SCOPED_TRACE(one["text"].dump());
    const auto ids = one["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text), ids);
    const auto decoded = one["decoded"].get<std::string>();
    EXPECT_EQ(tokenizer.decode(ids), decoded);
    const auto plain = one.value("decoded_without_special", decoded);
    EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = true}), plain);

    StreamDecoder stream(tokenizer, {.skip_special_tokens = true});
    std::string streamed;
    for (const std::int64_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), plain);
  }
}

TEST(TokenizerGolden, SmolLm2) {
  expect_all(Tokenizer::from_file(testing::smollm2() / "tokenizer.json"),
             testing::read_json(testing::kGolden / "tokenizer_cases.json"));
}

class TinyTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyTokenizer, GivesTheReferencesIds) {
  const auto folder = testing::kGolden / GetParam();
  expect_all(Tokenizer::from_file(folder / "tokenizer.json"),
             testing::read_json(folder / "cases.json")["texts"]);
}

INSTANTIATE_TEST_SUITE_P(Golden, TinyTokenizer,
                         ::testing::Values("tiny-qwen-tokenizer", "tiny-llama3-tokenizer"));

}  // namespace
}  // namespace graft
