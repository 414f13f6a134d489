#include "graft/lock_file.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

const std::string kCommit(40, 'a'), kOther(40, 'b'), kHash(64, 'c');

LockFile two_kernels() {
  return {.kernels = {{.repo = "org/norm",
                       .asked = ">=1.0,<2.0",
                       .revision = "v1.2.0",
                       .commit = kCommit,
                       .depends = {"org/base@2"},
                       .variants = {{"graft1-cpu-x86_64-linux", {.metadata = "sha256:" + kHash, .digest = "sha256:" + kHash, .signer = "key org"}},
                                    {"torch-cuda", {.metadata = "sha256:" + kHash}}}},
                      {.repo = "org/base", .asked = "2", .revision = "v2", .commit = kOther, .variants = {{"torch-cuda", {}}}}}};
}

TEST(LockFile, ReadsWhatItWrites) {
  const std::string text = two_kernels().graft_lock();
  LockFile read = LockFile::parse(text, "graft.lock");
  EXPECT_EQ(read.graft_lock(), text);
  ASSERT_EQ(read.kernels.size(), 2u);
  EXPECT_EQ(read.kernels[0].depends, std::vector<std::string>{"org/base@2"});
  EXPECT_EQ(read.kernels[0].variants.at("graft1-cpu-x86_64-linux").signer, "key org");
  EXPECT_EQ(read.kernels[1].variants.size(), 1u);
}

TEST(LockFile, WritesHfKernelsFormByteForByte) {
  EXPECT_EQ(two_kernels().kernels_lock(), "[\n"
                                          "  {\n"
                                          "    \"dependency\": {\n"
                                          "      \"repo-id\": \"org/norm\",\n"
                                          "      \"revision\": \"v1.2.0\"\n"
                                          "    },\n"
                                          "    \"lock\": {\n"
                                          "      \"commit\": \"" + kCommit + "\"\n"
                                          "    }\n"
                                          "  },\n"
                                          "  {\n"
                                          "    \"dependency\": {\n"
                                          "      \"repo-id\": \"org/base\",\n"
                                          "      \"version\": 2\n"
                                          "    },\n"
                                          "    \"lock\": {\n"
                                          "      \"commit\": \"" + kOther + "\"\n"
                                          "    }\n"
                                          "  }\n"
                                          "]\n");
}

TEST(LockFile, WritesOneLineForOneRevisionAskedForInTwoWays) {
  LockFile lock{.kernels = {{.repo = "a/b", .asked = "", .revision = "v1.0", .commit = kCommit},
                            {.repo = "a/b", .asked = "v1.0", .revision = "v1.0", .commit = kCommit}}};
  EXPECT_EQ(LockFile::parse(lock.kernels_lock(), "kernels.lock").kernels.size(), 1u);
}

TEST(LockFile, ReadsHfKernelsForm) {
  LockFile lock = LockFile::parse(two_kernels().kernels_lock(), "kernels.lock");
  ASSERT_EQ(lock.kernels.size(), 2u);
  EXPECT_EQ(lock.kernels[0].asked, "v1.2.0");
  EXPECT_EQ(lock.kernels[1].asked, "2");
  EXPECT_EQ(lock.kernels[1].revision, "v2");
  EXPECT_TRUE(lock.kernels[1].variants.empty());
}

TEST(LockFile, ReadsTheOlderForm) {
  LockFile lock = LockFile::parse(
      R"([{"repo_id": "org/norm", "sha": ")" + kCommit + R"(", "variants": {"torch29-cxx11-cu128-x86_64-linux":
          {"hash": "sha256-)" + kHash + R"(", "hash_type": "git_lfs_concat"}, "torch-universal": {"hash": "sha256-)" + kHash + R"("}}}])",
      "kernels.lock");
  ASSERT_EQ(lock.kernels.size(), 1u);
  EXPECT_EQ(lock.kernels[0].commit, kCommit);
  EXPECT_EQ(lock.kernels[0].variants.at("torch-universal").git_lfs_concat, "sha256-" + kHash);
}

TEST(LockFile, FindsTheOneForAReference) {
  LockFile lock = two_kernels();
  auto commit = [&](const char* ref) {
    const LockedKernel* found = lock.find(KernelRef::parse(ref));
    return found ? found->commit : "none";
  };
  EXPECT_EQ(commit("org/norm@>=1.0,<2.0:RMSNorm"), kCommit);
  EXPECT_EQ(commit("org/norm:RMSNorm"), kCommit);
  EXPECT_EQ(commit(("org/norm@" + kCommit).c_str()), kCommit);
  EXPECT_EQ(commit("org/base@v2"), kOther);
  EXPECT_EQ(commit("org/base@2"), kOther);
  EXPECT_EQ(commit("org/none"), "none");
  try {
    lock.find(KernelRef::parse("org/norm@v1.3.0"));
    FAIL() << "taken for another revision";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::revision_not_found);
    EXPECT_NE(e.mend().find("graft lock org/norm@v1.3.0"), std::string::npos);
  }
}

TEST(LockFile, FindsAnyRevisionInTheOlderForm) {
  LockFile lock = LockFile::parse(R"([{"repo_id": "a/b", "sha": ")" + kCommit + R"(", "variants": {}}])", "kernels.lock");
  EXPECT_EQ(lock.find(KernelRef::parse("a/b@2"))->commit, kCommit);
  EXPECT_EQ(lock.find_exact("a/b", "v7")->commit, kCommit);
}

TEST(LockFile, RefusesWhatIsNone) {
  const std::string good = R"({"version": 1, "kernels": [{"repo": "a/b", "asked": "", "revision": "main", "commit": ")" + kCommit + R"(", "variants": {}}]})";
  EXPECT_NO_THROW(LockFile::parse(good, "graft.lock"));
  auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {std::string(""), std::string("7"), std::string("{}"), std::string("[7]"), std::string("[{}]"), changed("\"a/b\"", "\"a--b/c\""),
        changed("\"a/b\"", "7"), changed("aaaa", "xyz"), changed("\"variants\": {}", "\"variants\": []"), changed("\"asked\"", "\"aksed\""),
        changed("{}", R"({"v": {"digest": "md5:1"}})"), changed("{}", R"({"v": {"digset": ""}})"), changed("{}", R"({"v": 7})"),
        changed("\"variants\"", "\"depends\": [7], \"variants\""), changed("\"version\": 1", "\"version\": 1, \"version\": 1"),
        std::string(R"([{"dependency": {"repo-id": "a/b", "version": 1, "revision": "x"}, "lock": {"commit": ")") + kCommit + "\"}}]",
        std::string(R"([{"dependency": {"repo-id": "a/b", "version": 1}, "lock": {"commit": ")") + kCommit + "\", \"x\": 1}}]",
        std::string(R"([{"dependency": {"repo-id": "a/b"}, "lock": {"commit": ")") + kCommit + "\"}}]",
        std::string(R"([{"repo_id": "a/b", "sha": ")") + kCommit + R"(", "variants": {"v": {"hash": "md5-1"}}}])",
        std::string(R"([{"repo_id": "a/b", "sha": ")") + kCommit + R"(", "variants": {"v": {"hash": "sha256-)" + kHash + R"(", "hash_type": "x"}}}])"}) {
    try {
      LockFile::parse(text, "graft.lock");
      ADD_FAILURE() << text << " was taken";
    } catch (const Error& e) {
      EXPECT_TRUE(e.code() == ErrorCode::corrupt || e.code() == ErrorCode::unsupported) << text << ": " << e.what();
    }
  }
  EXPECT_THROW(LockFile::parse(changed("\"version\": 1", "\"version\": 2"), "graft.lock"), Error);
}

TEST(LockFile, RefusesARepoThatIsLockedTwice) {
  LockFile lock{.kernels = {{.repo = "a/b", .asked = "2", .revision = "v2", .commit = kCommit},
                            {.repo = "a/b", .asked = "v2", .revision = "v2", .commit = kOther}}};
  EXPECT_THROW(LockFile::parse(lock.graft_lock(), "graft.lock"), Error);
}

TEST(LockFile, NamesTheFileThatIsMissing) {
  try {
    LockFile::read("/no/such/graft.lock");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::not_found);
    EXPECT_NE(std::string(e.what()).find("/no/such/graft.lock"), std::string::npos);
  }
}

}  // namespace
}  // namespace graft
