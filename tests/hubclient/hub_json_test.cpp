#include "hub_json.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

const std::string kSha1(40, '1'), kSha256(64, '2'), kCommit(40, 'a');

std::string file(const std::string& path, const std::string& size = "3", const std::string& more = "") {
  return R"({"type":"file","path":")" + path + R"(","size":)" + size + R"(,"oid":")" + kSha1 + "\"" + more + "}";
}

ErrorCode refusal(const std::string& page) {
  try {
    parse_tree_page(page, "test");
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "taken: " << page;
  return ErrorCode::internal;
}

TEST(TreePage, GivesFilesAndLeavesFoldersOut) {
  auto files = parse_tree_page("[" + file("a/b") + R"(,{"type":"directory","path":"a","oid":"x","size":0},)" +
                                   file("c", "130", R"(,"lfs":{"oid":")" + kSha256 + R"(","size":5000,"pointerSize":130})") + "]",
                               "test");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "a/b");
  EXPECT_EQ(files[0].oid, kSha1);
  EXPECT_EQ(files[1].size, 5000u);
  EXPECT_EQ(files[1].sha256, kSha256);
}

TEST(TreePage, RefusesNamesThatLeadOut) {
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a\\\\b", "C:/x", "C:x", "a//b", "./a", "", "a\\u0000b", "a/"})
    EXPECT_EQ(refusal("[" + file(path) + "]"), ErrorCode::corrupt) << path;
  EXPECT_EQ(refusal(R"([{"type":"directory","path":"../x","oid":"x","size":0}])"), ErrorCode::corrupt);
}

TEST(TreePage, RefusesSizesThatAreNone) {
  for (const char* size : {"-1", "1.5", "\"3\"", "1e30", "18446744073709551615", "null", "99999999999999999"})
    EXPECT_EQ(refusal("[" + file("a", size) + "]"), ErrorCode::corrupt) << size;
}

TEST(TreePage, RefusesHashesThatAreNone) {
  for (std::string oid : {"", "xyz", "../../../../x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_EQ(refusal(R"([{"type":"file","path":"a","size":1,"oid":")" + oid + "\"}]"), ErrorCode::corrupt) << oid;
    EXPECT_EQ(refusal("[" + file("a", "1", R"(,"lfs":{"oid":")" + oid + R"(","size":1})") + "]"), ErrorCode::corrupt) << oid;
  }
}

TEST(TreePage, RefusesWhatIsNoPage) {
  for (const char* page : {"", "{}", "[1]", "[{}]", "null", "[[]]", "\xff", "<html>"})
    EXPECT_EQ(refusal(page), ErrorCode::corrupt) << page;
  EXPECT_EQ(refusal(std::string(100'000, '[')), ErrorCode::corrupt);
}

TEST(TreePage, IgnoresAXetHashThatIsNone) {
  EXPECT_EQ(parse_tree_page("[" + file("a", "1", R"(,"xetHash":"../x")") + "]", "t")[0].xet_hash, "");
  EXPECT_EQ(parse_tree_page("[" + file("a", "1", R"(,"xetHash":")" + kSha256 + "\"") + "]", "t")[0].xet_hash, kSha256);
}

TEST(Refs, AreTagsAndBranches) {
  Refs refs = parse_refs(R"({"tags":[{"name":"v1","ref":"refs/tags/v1","targetCommit":")" + kCommit +
                             R"("}],"branches":[{"name":"feature/x","ref":"r","targetCommit":")" + kCommit +
                             R"("}],"converts":[]})",
                         "test");
  EXPECT_EQ(refs.tags.at("v1"), kCommit);
  EXPECT_EQ(refs.branches.at("feature/x"), kCommit);
}

TEST(Refs, RefuseNamesThatLeadOutAndCommitsThatAreNone) {
  auto refs = [](const std::string& name, const std::string& commit) {
    return R"({"tags":[{"name":")" + name + R"(","targetCommit":")" + commit + R"("}],"branches":[]})";
  };
  EXPECT_NO_THROW(parse_refs(refs("v1", kCommit), "t"));
  for (const char* name : {"../x", "/x", "", "a/../b"}) EXPECT_THROW(parse_refs(refs(name, kCommit), "t"), Error) << name;
  for (const char* commit : {"", "abc", "../x"}) EXPECT_THROW(parse_refs(refs("v1", commit), "t"), Error) << commit;
  for (const char* text : {"{}", "[]", R"({"tags":[]})", R"({"tags":{},"branches":[]})"})
    EXPECT_THROW(parse_refs(text, "t"), Error) << text;
}

TEST(RepoInfo, KnowsPrivateAndGated) {
  EXPECT_TRUE(parse_info(R"({"sha":")" + kCommit + R"(","private":true,"gated":"manual"})", "t").gated);
  EXPECT_TRUE(parse_info(R"({"sha":")" + kCommit + R"(","private":true})", "t").is_private);
  EXPECT_FALSE(parse_info(R"({"sha":")" + kCommit + R"(","gated":false})", "t").gated);
  EXPECT_THROW(parse_info(R"({"private":true})", "t"), Error);
}

TEST(TreeCache, IsReadAsItWasWritten) {
  std::vector<HubFile> files = {{"a/b", 3, kSha1}, {"c", 5000, kSha1, kSha256, std::string(64, '3')}};
  auto back = parse_tree_cache(format_tree_cache(files), "test");
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].path, "a/b");
  EXPECT_EQ(back[0].oid, kSha1);
  EXPECT_EQ(back[1].sha256, kSha256);
  EXPECT_EQ(back[1].size, 5000u);
  EXPECT_EQ(back[1].xet_hash, std::string(64, '3'));
}

TEST(TreeCache, RefusesAnotherVersionAndNamesThatLeadOut) {
  for (std::string text : {std::string(R"({"format_version":2,"files":{}})"), std::string("{}"),
                           R"({"format_version":1,"files":{"../x":{"size":1,"blob_id":")" + kSha1 + "\"}}}"})
    EXPECT_THROW(parse_tree_cache(text, "t"), Error) << text;
}

}  // namespace
}  // namespace graft
