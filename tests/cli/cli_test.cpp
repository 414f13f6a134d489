// The `graft` program as a person or script meets it: arguments, output, exit codes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "hub_server.h"
#include "run_graft.h"

namespace graft {
namespace {

using nlohmann::json;

using test::Result;

Result graft(const std::string& arguments) {
  return test::run_graft(arguments);
}

class CliTest : public testing::Test {
 protected:
  CliTest() {
    hub_.add("graft-kernels/norm", "v1.0.0", test::fixture("good"));
    hub_.add("stranger/norm", "v1.0.0", test::fixture("good_v2"));
  }
  test::TestHub hub_;
  test::TempFolder empty_;
  test::ScopedEnv embedded_{"GRAFT_HUB", empty_.path().c_str()};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
};

TEST_F(CliTest, ExplainsItselfWithExamples) {
  Result help = graft("--help");
  EXPECT_EQ(help.exit, 0);
  for (const char* command : {"run", "info", "versions", "lock", "download", "ls", "rm", "gc", "verify", "new", "check", "pack", "sign", "policy", "trust", "quarantine",
                              "serve", "tokenize", "completion", "bench", "doctor"}) {
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
    Result one = graft(std::string(command) + " --help");
    EXPECT_EQ(one.exit, 0) << command;
    EXPECT_NE(one.out.find("Example:"), std::string::npos) << command;
  }
}

TEST_F(CliTest, NewMakesAFolderOnceAndNamesWhatIsWrong) {
  const std::string into = (empty_.path() / "begun").string();
  const Result made = graft("new me/my-norm --contract rotary_pos_emb --into " + into + " --json");
  ASSERT_EQ(made.exit, 0) << made.out;
  EXPECT_EQ(json::parse(made.out)["entry"], "MyRotaryPosEmb");
  EXPECT_EQ(json::parse(made.out)["files"], json({"CMakeLists.txt", "README.md", "my_norm.cpp"}));
  EXPECT_NE(test::read_file(into + "/my_norm.cpp").find("entry<MyRotaryPosEmb>(\"MyRotaryPosEmb\", \"rotary_pos_emb/1\")"), std::string::npos);
  const Result again = graft("new me/my-norm --into " + into);
  EXPECT_EQ(again.exit, 2);
  EXPECT_NE(again.out.find("is there already"), std::string::npos) << again.out;
  const Result unknown = graft("new me/x --contract RMSNrm/1 --into " + into + "2");
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_NE(unknown.out.find("RMSNorm"), std::string::npos) << unknown.out;
  EXPECT_EQ(graft("new me/x --entry 2fast --into " + into + "2").exit, 2);
  EXPECT_EQ(graft("new me --into " + into + "2").exit, 2);
  EXPECT_EQ(graft("new me/x --into /proc/begun").exit, 1);
  for (const auto& each : std::filesystem::directory_iterator(empty_.path())) EXPECT_EQ(each.path().filename(), "begun");
}

TEST_F(CliTest, NeedsNoLibTorchForHelp) {
  Result libraries = graft("--help >/dev/null; ldd " GRAFT_PROGRAM);
  EXPECT_NE(libraries.out.find("libgraft_runtime"), std::string::npos);
  EXPECT_EQ(libraries.out.find("torch"), std::string::npos);
}

TEST_F(CliTest, EndsWithTwoOnWrongUsage) {
  EXPECT_EQ(graft("").exit, 2);
  EXPECT_EQ(graft("frobnicate").exit, 2);
  EXPECT_EQ(graft("info").exit, 2);
  EXPECT_EQ(graft("info --no-such-option x/y").exit, 2);
  EXPECT_EQ(graft("info 'a b/c'").exit, 2);
  EXPECT_EQ(graft("info graft-kernels/norm --device gpu").exit, 2);
  EXPECT_EQ(graft("run m --prompt p --kernels maybe").exit, 2);
  EXPECT_EQ(graft("run m --prompt p --map RMSNorm").exit, 2);
  EXPECT_EQ(graft("run m --prompt p --report").exit, 2);
  EXPECT_EQ(graft("check").exit, 2);
}

TEST_F(CliTest, ChecksWhatAnAuthorBuilt) {
  Result good = graft("check " + test::fixture("good").string() + " --json");
  EXPECT_EQ(good.exit, 0);
  EXPECT_EQ(json::parse(good.out)["variants"][0]["entries"][0]["name"], "TestRMSNorm");
  Result wrong = graft("check " + test::fixture("cuda_entry").string() + " --json");
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_EQ(json::parse(wrong.out)["passed"], false);
  EXPECT_EQ(json::parse(wrong.out)["variants"][0]["state"], "failed");
  EXPECT_EQ(graft("check " + test::fixture("cuda_entry").string() + " --device cuda").exit, 0);
  EXPECT_EQ(graft("check /no/such/path").exit, 1);
}

TEST_F(CliTest, ListsKernelsWithTagsAndVariants) {
  Result list = graft("ls --json");
  ASSERT_EQ(list.exit, 0);
  json repos = json::parse(list.out)["hubs"];
  ASSERT_EQ(repos.size(), 2u);
  EXPECT_EQ(repos[0]["repo"], "graft-kernels/norm");
  EXPECT_TRUE(repos[0]["tags"].contains("v1.0.0"));
  EXPECT_EQ(repos[0]["commits"][0]["variants"][0], test::host_variant());
  Result text = graft("ls");
  EXPECT_NE(text.out.find("graft-kernels/norm"), std::string::npos);
  EXPECT_EQ(text.out.find('\033'), std::string::npos);  // no terminal, no colours
}

TEST_F(CliTest, ShowsEntriesAndVariantsOfAKernel) {
  Result info = graft("info graft-kernels/norm --json");
  ASSERT_EQ(info.exit, 0) << info.out;
  json object = json::parse(info.out);
  EXPECT_EQ(object["repo"], "graft-kernels/norm");
  EXPECT_EQ(object["commit"].get<std::string>().size(), 40u);
  EXPECT_EQ(object["entries"][0]["name"], "TestRMSNorm");
  EXPECT_EQ(object["entries"][0]["contract"], "RMSNorm/1");
  EXPECT_EQ(object["entries"][0]["devices"], json{"cpu"});
  EXPECT_EQ(object["entries"][0]["modes"], json{"inference"});
  EXPECT_EQ(object["variants"][0]["accepted"], true);
  EXPECT_EQ(object["chosen"], test::host_variant());
}

TEST_F(CliTest, FailsWithTheReasonAndTheMend) {
  Result missing = graft("info graft-kernels/norm@v7");
  EXPECT_EQ(missing.exit, 1);
  EXPECT_NE(missing.out.find("has no tag, branch or commit v7"), std::string::npos);
  EXPECT_NE(missing.out.find("tags: v1.0.0"), std::string::npos);
  Result as_json = graft("info graft-kernels/norm@v7 --json");
  EXPECT_EQ(as_json.exit, 1);
  EXPECT_EQ(json::parse(as_json.out)["error"]["code"], "revision_not_found");
}

TEST_F(CliTest, FailsToRunAModelThatIsNotThere) {
  Result run = graft("run /no/such/model --prompt hello");
  EXPECT_EQ(run.exit, 1);
  EXPECT_NE(run.out.find("graft:"), std::string::npos);
}

TEST_F(CliTest, ShowsWhyAStrangersKernelIsNotLoaded) {
  Result info = graft("info stranger/norm --json");
  EXPECT_EQ(info.exit, 1);
  json object = json::parse(info.out);
  EXPECT_TRUE(object["entries"].empty());
  EXPECT_EQ(object["chosen"], test::host_variant());
  EXPECT_NE(object["reason"].get<std::string>().find("not a trusted publisher"), std::string::npos);
  EXPECT_EQ(graft("info stranger/norm --allow-all-kernels").exit, 0);
}

TEST_F(CliTest, VerifiesWithAVerdict) {
  Result accepted = graft("verify graft-kernels/norm --json");
  EXPECT_EQ(accepted.exit, 0);
  EXPECT_EQ(json::parse(accepted.out)["verdict"], "accepted");
  Result refused = graft("verify stranger/norm --json");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_EQ(json::parse(refused.out)["verdict"], "refused");
  EXPECT_EQ(json::parse(refused.out)["rule"], "trusted_publishers");
}

TEST_F(CliTest, PacksAndFindsWhatItPacked) {
  test::TempFolder folder;
  test::write_file(folder.path() / "repo/build" / test::host_variant() / "k.so",
                   test::read_file(test::fixture("good")));
  std::string pack = "pack " + (folder.path() / "repo").string() + " --hub " + hub_.path().string() +
                     " --repo graft-kernels/packed --tag v3.0.0 --json";
  Result first = graft(pack);
  ASSERT_EQ(first.exit, 0) << first.out;
  EXPECT_EQ(json::parse(first.out)["changed"], true);
  EXPECT_EQ(json::parse(graft(pack).out)["changed"], false);
  Result info = graft("info graft-kernels/packed --json");
  EXPECT_EQ(json::parse(info.out)["commit"], json::parse(first.out)["commit"]);
}

TEST_F(CliTest, DownloadsFromAHubOverHttp) {
  HubServer server({.root = hub_.path()});
  test::TempFolder cache;
  test::ScopedEnv endpoint("HF_ENDPOINT", server.endpoint().c_str()), kernels("KERNELS_CACHE", nullptr),
      folder("HF_HUB_CACHE", cache.path().c_str());
  Result first = graft("download stranger/norm --json");
  ASSERT_EQ(first.exit, 0) << first.out;
  json done = json::parse(first.out);
  EXPECT_EQ(done["repo_type"], "kernel");
  EXPECT_EQ(done["revision"], "v1.0.0");
  EXPECT_EQ(done["files"].size(), 2u);
  EXPECT_GT(done["bytes_downloaded"], 0);
  std::string variant = done["folder"].get<std::string>() + "/build/" + test::host_variant();
  EXPECT_TRUE(std::filesystem::exists(variant + "/kernel.so"));
  EXPECT_EQ(json::parse(graft("download stranger/norm --json").out)["bytes_downloaded"], 0);

  Result some = graft("download stranger/norm@v1.0.0 '*/metadata.json' --json");
  EXPECT_EQ(json::parse(some.out)["files"].size(), 1u);
  EXPECT_EQ(graft("download stranger/norm '*/nothing'").exit, 1);
  EXPECT_EQ(graft("download stranger/norm:Entry").exit, 2);
  EXPECT_EQ(graft("download stranger/norm --device cuda").exit, 1);

  server.stop();
  Result cached = graft("download stranger/norm --json");
  EXPECT_EQ(cached.exit, 0);
  EXPECT_NE(json::parse(cached.out)["note"], "");
  Result offline = graft("download stranger/other --json");
  EXPECT_EQ(offline.exit, 1);
  EXPECT_EQ(json::parse(offline.out)["error"]["code"], "offline");
}

TEST_F(CliTest, LoadsAKernelOfAHubOverHttp) {
  hub_.add("kernels-community/norm", "v2.0.0", test::fixture("good_v3"));
  HubServer server({.root = hub_.path()});
  test::TempFolder cache;
  test::ScopedEnv endpoint("HF_ENDPOINT", server.endpoint().c_str()), kernels("KERNELS_CACHE", cache.path().c_str());
  Result info = graft("info kernels-community/norm --json");
  EXPECT_EQ(info.exit, 0) << info.out;
  EXPECT_EQ(json::parse(info.out)["entries"][0]["name"], "TestRMSNorm");
  EXPECT_EQ(graft("verify kernels-community/norm").exit, 0);
  server.reset_counters();
  EXPECT_EQ(graft("info stranger/norm").exit, 1);  // looked at, not fetched
  EXPECT_EQ(server.counters().resolve, 0u);
}

TEST_F(CliTest, TokenizesAText) {
  test::TempFolder model;
  test::write_file(model.path() / "tokenizer.json",
                   R"({"model": {"type": "BPE", "vocab": {"h": 0, "i": 1, "hi": 2}, "merges": ["h i"]},
                       "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel",
                       "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
                       "post_processor": null, "decoder": {"type": "ByteLevel"}})");
  Result ids = graft("tokenize " + model.path().string() + " hihi --json");
  EXPECT_EQ(ids.exit, 0) << ids.out;
  EXPECT_EQ(json::parse(ids.out), (json{{"ids", {2, 2}}}));
  Result missing = graft("tokenize /no/such/model text");
  EXPECT_EQ(missing.exit, 1);
  EXPECT_NE(missing.out.find("tokenizer.json"), std::string::npos);
}

}  // namespace
}  // namespace graft
