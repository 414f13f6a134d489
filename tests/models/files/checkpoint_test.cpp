#include "graft/checkpoint.h"

#include "support.h"

namespace graft {
namespace {

using testing::TemporaryFolder;
using testing::throws_error;

class CheckpointTest : public ::testing::Test {
 protected:
  void save(const std::string& file, const std::vector<std::string>& names) {
    std::vector<std::pair<std::string, TensorView>> tensors;
    for (const std::string& name : names) {
      tensors.emplace_back(
          name, TensorView{SafetensorsDType::U8, {4}, reinterpret_cast<const std::byte*>("data"), 4});
    }
    save_safetensors(folder / file, tensors);
  }
  void index(const std::string& json) { testing::write_file(folder / "model.safetensors.index.json", json); }
  ::testing::AssertionResult refuses(ErrorCode code, const std::string& part) {
    return throws_error(code, part, [&] { open_checkpoint(folder.path()); });
  }

  TemporaryFolder folder;
};

TEST_F(CheckpointTest, OneFileIsTheCheckpointEvenBesideAnIndex) {
  save("model.safetensors", {"a", "b"});
  index("not JSON");
  const auto checkpoint = open_checkpoint(folder.path());
  EXPECT_EQ(checkpoint->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(checkpoint->tensor("b").bytes, 4u);
}

TEST_F(CheckpointTest, ShardsAreOneCheckpoint) {
  save("model-1.safetensors", {"a", "left out"});
  save("model-2.safetensors", {"b", "c"});
  index(
      R"({"metadata":{"total_size":12},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-2.safetensors"}})");
  const auto checkpoint = open_checkpoint(folder.path());
  EXPECT_EQ(checkpoint->names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(checkpoint->files().size(), 2u);
  EXPECT_EQ(checkpoint->file_of("c").path().filename(), "model-2.safetensors");
  EXPECT_FALSE(checkpoint->contains("left out"));
  checkpoint->will_need();
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "\"left out\"", [&] { checkpoint->tensor("left out"); }));
}

TEST_F(CheckpointTest, ATensorMissingFromItsShardIsNamedWithTheShard) {
  save("model-1.safetensors", {"a"});
  index(R"({"weight_map":{"a":"model-1.safetensors","gone":"model-1.safetensors"}})");
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"gone\""));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "model-1.safetensors"));
}

TEST_F(CheckpointTest, AMissingShardIsNamed) {
  index(R"({"weight_map":{"a":"model-7.safetensors"}})");
  EXPECT_TRUE(refuses(ErrorCode::not_found, "model-7.safetensors"));
}

TEST_F(CheckpointTest, ShardNamesThatReachOutOfTheFolderAreRefused) {
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..\\\\x.safetensors",
                           "..", "", ".hidden.safetensors", "x\\u0000.safetensors", "weights.bin"}) {
    index(std::string(R"({"weight_map":{"a":")") + name + R"("}})");
    EXPECT_TRUE(refuses(ErrorCode::corrupt, "plain *.safetensors file")) << name;
  }
  index(R"({"weight_map":{"a":5}})");
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "plain *.safetensors file"));
}

TEST_F(CheckpointTest, ABrokenIndexIsNamed) {
  for (const char* json : {"", "[]", "{", "{}", R"({"weight_map":[]})"}) {
    index(json);
    EXPECT_TRUE(refuses(ErrorCode::corrupt, "model.safetensors.index.json")) << json;
  }
}

TEST_F(CheckpointTest, AFolderWithoutWeightsSaysWhatItLacks) {
  EXPECT_TRUE(refuses(ErrorCode::not_found, "neither model.safetensors nor model.safetensors.index.json"));
}

}  // namespace
}  // namespace graft
