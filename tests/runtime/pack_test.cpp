#include "graft/pack.h"

#include <gtest/gtest.h>

#include <thread>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hub.h"
#include "graft/metadata.h"
#include "variant_digest.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::write_file;

class PackTest : public testing::Test {
 protected:
  PackTest() {
    write_file(source() / "README.md", "a norm");
    write_file(source() / "build/graft1-cpu-x86_64-linux/norm.so", "library");
    write_file(source() / "build/graft1-cu130-x86_64-linux/norm.so", "cuda library");
  }
  fs::path source() const { return folder_.path() / "source"; }
  fs::path hub() const { return folder_.path() / "hub"; }
  fs::path repo() const { return hub() / "kernels/me/norm"; }
  PackOptions options(const char* tag = "v1.0.0") const {
    return {.source = source(), .hub = hub(), .repo = "me/norm", .tag = tag, .license = "MIT"};
  }
  Refs refs() const { return open_hub("file://" + hub().string())->refs({RepoKind::kernel, "me/norm"}); }

  test::TempFolder folder_;
};

TEST_F(PackTest, PutsAllFilesUnderATagAndMain) {
  PackResult packed = pack_repo(options());
  EXPECT_TRUE(packed.changed);
  EXPECT_EQ(packed.variants,
            (std::vector<std::string>{"graft1-cpu-x86_64-linux", "graft1-cu130-x86_64-linux"}));
  EXPECT_EQ(refs().tags.at("v1.0.0"), packed.commit);
  EXPECT_EQ(refs().branches.at("main"), packed.commit);
  fs::path tree = repo() / "commits" / packed.commit;
  EXPECT_EQ(content_commit(tree), packed.commit);
  EXPECT_EQ(test::read_file(tree / "README.md"), "a norm");
  EXPECT_TRUE(verify_variant(tree / "build/graft1-cu130-x86_64-linux",
                             read_metadata(tree / "build/graft1-cu130-x86_64-linux"))
                  .has_digest());
}

TEST_F(PackTest, WritesTheFieldsThatHfKernelsReads) {
  PackResult packed = pack_repo(options("v2.1.0"));
  std::string text =
      test::read_file(repo() / "commits" / packed.commit / "build/graft1-cu130-x86_64-linux/metadata.json");
  EXPECT_EQ(parse_metadata(text).name, "norm");
  for (const char* part :
       {R"("version": 2)", R"("license": "MIT")", R"("python-depends": [])", R"("type": "cuda")"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST_F(PackTest, KeepsFieldsOfAMetadataThatIsThere) {
  write_file(source() / "build/graft1-cpu-x86_64-linux/metadata.json",
             R"({"license": "BSD", "upstream": "x"})");
  PackResult packed = pack_repo(options());
  std::string text =
      test::read_file(repo() / "commits" / packed.commit / "build/graft1-cpu-x86_64-linux/metadata.json");
  EXPECT_NE(text.find(R"("license": "BSD")"), std::string::npos);
  EXPECT_NE(text.find(R"("upstream": "x")"), std::string::npos);
}

TEST_F(PackTest, ChangesNothingTheSecondTime) {
  PackResult first = pack_repo(options()), second = pack_repo(options());
  EXPECT_EQ(first.commit, second.commit);
  EXPECT_FALSE(second.changed);
}

TEST_F(PackTest, KeepsOldVersionsAndMovesMain) {
  PackResult one = pack_repo(options());
  write_file(source() / "build/graft1-cpu-x86_64-linux/norm.so", "better");
  PackResult two = pack_repo(options("v1.1.0"));
  EXPECT_NE(one.commit, two.commit);
  EXPECT_EQ(refs().tags.at("v1.0.0"), one.commit);
  EXPECT_EQ(refs().branches.at("main"), two.commit);
}

TEST_F(PackTest, LeavesATagWhereItIsUnlessToldToMoveIt) {
  PackResult one = pack_repo(options());
  write_file(source() / "build/graft1-cpu-x86_64-linux/norm.so", "better");
  EXPECT_THROW(pack_repo(options()), Error);
  EXPECT_EQ(refs().tags.at("v1.0.0"), one.commit);
  PackOptions move = options();
  move.move_tag = true;
  PackResult two = pack_repo(move);
  EXPECT_EQ(refs().tags.at("v1.0.0"), two.commit);
  EXPECT_FALSE(fs::exists(repo() / "commits" / one.commit));
}

TEST_F(PackTest, LeavesNothingHalfWrittenWhenItFails) {
  write_file(source() / "build/graft1-cpu-x86_64-linux/metadata.json", "{");
  EXPECT_THROW(pack_repo(options()), Error);
  EXPECT_TRUE(refs().tags.empty());
  EXPECT_TRUE(fs::is_empty(repo() / "commits"));
}

TEST_F(PackTest, RefusesWhatIsNoRepoAndNamesThatAreNone) {
  PackOptions bad = options();
  bad.repo = "../norm";
  EXPECT_THROW(pack_repo(bad), Error);
  bad = options("../v1");
  EXPECT_THROW(pack_repo(bad), Error);
  bad = options("");
  EXPECT_THROW(pack_repo(bad), Error);
  bad = options();
  bad.source = folder_.path() / "empty";
  EXPECT_THROW(pack_repo(bad), Error);
  fs::remove(source() / "build/graft1-cu130-x86_64-linux/norm.so");
  EXPECT_THROW(pack_repo(options()), Error);
}

TEST_F(PackTest, PacksSeveralReposAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([this, i] {
      PackOptions mine = options();
      mine.repo = "me/norm" + std::to_string(i);
      pack_repo(mine);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(open_hub("file://" + hub().string())->repos(RepoKind::kernel).size(), 4u);
}

}  // namespace
}  // namespace graft
