#include "graft/fetch_model.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "hub_server.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::write_file;

class FetchModelTest : public testing::Test {
 protected:
  FetchModelTest() {
    write_file(repo() / "refs/heads/main", kMain);
    write_file(repo() / "refs/heads/sharded", kSharded);
    for (const std::string& commit : {kMain, kSharded})
      for (const char* path : {"config.json", "tokenizer.json", "README.md", "pytorch_model.bin", "onnx/model.onnx"})
        write_file(repo() / "commits" / commit / path, path);
    write_file(repo() / "commits" / kMain / "model.safetensors", "weights");
    write_file(repo() / "commits" / kSharded / "model.safetensors.index.json",
               R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}})");
    for (const char* path : {"model-1.safetensors", "model-2.safetensors", "consolidated.safetensors"})
      write_file(repo() / "commits" / kSharded / path, path);
    server_ = std::make_unique<HubServer>(ServerOptions{.root = folder_.path() / "hub"});
  }
  fs::path repo() const { return folder_.path() / "hub/models/org/llm"; }
  HubOptions options() const {
    HubOptions options;
    options.endpoint = server_->endpoint();
    options.cache_dir = options.kernels_cache_dir = folder_.path() / "cache";
    return options;
  }
  std::set<std::string> names(const fs::path& folder) {
    std::set<std::string> names;
    for (const auto& item : fs::directory_iterator(folder)) names.insert(item.path().filename());
    return names;
  }
  ErrorCode refusal(const std::string& name, const std::string& revision = "main") {
    try {
      fetch_model(name, revision, options());
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "fetched " << name;
    return ErrorCode::internal;
  }

  const std::string kMain = std::string(40, 'a'), kSharded = std::string(40, 'b');
  test::TempFolder folder_;
  std::unique_ptr<HubServer> server_;
};

TEST_F(FetchModelTest, FetchesWhatGraftReadsAndNothingElse) {
  FetchedModel model = fetch_model("org/llm", "main", options());
  EXPECT_EQ(model.commit, kMain);
  EXPECT_EQ(model.note, "");
  EXPECT_EQ(names(model.folder), (std::set<std::string>{"config.json", "model.safetensors", "tokenizer.json"}));
}

TEST_F(FetchModelTest, FetchesTheShardsThatTheIndexNames) {
  FetchedModel model = fetch_model("org/llm", "sharded", options());
  EXPECT_EQ(names(model.folder),
            (std::set<std::string>{"config.json", "model-1.safetensors", "model-2.safetensors",
                                   "model.safetensors.index.json", "tokenizer.json"}));
}

TEST_F(FetchModelTest, TakesAFolderAsItIs) {
  EXPECT_EQ(fetch_model(folder_.path().string(), "main", options()).folder, folder_.path());
  EXPECT_EQ(server_->counters().connections, 0u);
}

TEST_F(FetchModelTest, ComesFromTheCacheWhereThereIsNoNetwork) {
  fetch_model("org/llm", "main", options());
  HubOptions offline = options();
  offline.offline = true;
  FetchedModel model = fetch_model("org/llm", "main", offline);
  EXPECT_TRUE(fs::exists(model.folder / "model.safetensors"));
  EXPECT_NE(model.note.find("HF_HUB_OFFLINE"), std::string::npos);
}

TEST_F(FetchModelTest, FetchesTheConfigurationAlone) {
  FetchedModel config = fetch_model_config("org/llm", "sharded", options());
  EXPECT_EQ(config.commit, kSharded);
  EXPECT_EQ(names(config.folder), std::set<std::string>{"config.json"});
  EXPECT_EQ(server_->counters().resolve, 1u);
  EXPECT_EQ(fetch_model_config(folder_.path().string()).folder, folder_.path());
}

TEST_F(FetchModelTest, TheConfigurationOfANewerCommitDoesNotHideTheWholeModelInTheCache) {
  fetch_model("org/llm", "main", options());
  write_file(repo() / "refs/heads/main", kSharded);  // the publisher goes on
  EXPECT_EQ(fetch_model_config("org/llm", "main", options()).commit, kSharded);
  HubOptions offline = options();
  offline.offline = true;
  EXPECT_EQ(fetch_model("org/llm", "main", offline).commit, kMain);
}

TEST_F(FetchModelTest, ARepoWithoutAConfigurationIsNoModel) {
  fs::remove(repo() / "commits" / kMain / "config.json");
  try {
    fetch_model_config("org/llm", "main", options());
    FAIL() << "fetched";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_NE(std::string(error.what()).find("has no config.json"), std::string::npos) << error.what();
  }
}

TEST_F(FetchModelTest, NamesWhatIsMissing) {
  EXPECT_EQ(refusal("no/such/folder"), ErrorCode::not_found);
  EXPECT_EQ(refusal("model"), ErrorCode::not_found);
  EXPECT_EQ(refusal("./model"), ErrorCode::not_found);
  EXPECT_EQ(refusal("org/other"), ErrorCode::not_found);
  EXPECT_EQ(refusal("org/llm", "v7"), ErrorCode::revision_not_found);
}

TEST_F(FetchModelTest, RefusesAnIndexThatLeadsOut) {
  write_file(repo() / "commits" / kSharded / "model.safetensors.index.json", R"({"weight_map": {"a": "../x.safetensors"}})");
  EXPECT_EQ(refusal("org/llm", "sharded"), ErrorCode::corrupt);
}

}  // namespace
}  // namespace graft
