#include "graft/rope.h"

#include "graft/model_config.h"
#include "support.h"

namespace graft {
namespace {

TEST(Rope, FrequenciesAreThoseOfTransformers) {
  const auto golden =
      testing::read_json(std::filesystem::path(GRAFT_SOURCE_DIR) / "tests/models/files/rope.json");
  ASSERT_FALSE(golden.empty());
  for (const auto& one : golden) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const RopeFrequencies got =
        rope_inverse_frequencies(parse_model_config(one["config"].dump()), one["sequence_length"]);
    const auto expected = one["inv_freq"].get<std::vector<float>>();
    ASSERT_EQ(got.inv_freq.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      // torch's vectorised pow and the C library's differ in the last bit.
      EXPECT_NEAR(got.inv_freq[i], expected[i], 1e-6f * expected[i]) << i;
    }
    EXPECT_FLOAT_EQ(got.attention_scaling, one["attention_scaling"].get<float>());
  }
}

TEST(Rope, DynamicScalingWithOnePairOfDimensionsStaysFinite) {
  const ModelConfig config = parse_model_config(
      R"({"model_type":"llama","vocab_size":8,"hidden_size":4,"intermediate_size":8,"num_hidden_layers":1,)"
      R"("num_attention_heads":2,"rope_scaling":{"type":"dynamic","factor":2.0}})");
  EXPECT_EQ(rope_inverse_frequencies(config, 100'000).inv_freq, std::vector<float>{1.0f});
}

}  // namespace
}  // namespace graft
