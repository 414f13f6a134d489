#include "hub_fixture.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::code_of;
using test::write_file;

const std::string kCommit(40, 'a');
const RepoId kNorm{RepoKind::kernel, "org/norm"};

class FolderHubTest : public testing::Test {
 protected:
  FolderHubTest() {
    write_file(repo() / "refs/tags/v1.0.0", kCommit + "\n");
    write_file(repo() / "refs/heads/main", kCommit);
    write_file(repo() / "refs/heads/feature/x", kCommit);
    write_file(tree() / "build/v/norm.so", "library");
    write_file(tree() / "build/v/sub/data", "12");
    write_file(tree() / "README.md", "norm");
  }
  fs::path repo() const { return folder_.path() / "kernels/org/norm"; }
  fs::path tree() const { return repo() / "commits" / kCommit; }
  std::shared_ptr<Hub> open() const { return open_hub("file://" + folder_.path().string()); }

  test::TempFolder folder_;
};

TEST_F(FolderHubTest, ReadsTagsAndBranches) {
  Refs refs = open()->refs(kNorm);
  EXPECT_EQ(refs.tags, (std::map<std::string, std::string>{{"v1.0.0", kCommit}}));
  EXPECT_EQ(refs.branches, (std::map<std::string, std::string>{{"main", kCommit}, {"feature/x", kCommit}}));
}

TEST_F(FolderHubTest, ListsReposOfEachKind) {
  fs::create_directories(folder_.path() / "models/org/llama");
  EXPECT_EQ(open()->repos(RepoKind::kernel), std::vector<std::string>{"org/norm"});
  EXPECT_EQ(open()->repos(RepoKind::model), std::vector<std::string>{"org/llama"});
}

TEST_F(FolderHubTest, ListsFilesBelowAPrefixWithSizes) {
  std::vector<HubFile> files = open()->list(kNorm, kCommit, "build");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "build/v/norm.so");
  EXPECT_EQ(files[0].size, 7u);
  EXPECT_EQ(files[1].path, "build/v/sub/data");
  EXPECT_EQ(open()->list(kNorm, kCommit, "").size(), 3u);
  EXPECT_TRUE(open()->list(kNorm, kCommit, "nothing").empty());
}

TEST_F(FolderHubTest, FetchesAFolderInPlace) {
  EXPECT_EQ(open()->fetch(kNorm, {"main", kCommit}, open()->list(kNorm, kCommit, "build/v")), tree());
  EXPECT_EQ(code_of([&] { open()->fetch(kNorm, {"main", kCommit}, {{"build/w"}}); }), ErrorCode::not_found);
}

TEST_F(FolderHubTest, GivesOneFileOfABranchATagOrACommit) {
  for (std::string revision : {"main", "feature/x", "v1.0.0", kCommit.c_str()})
    EXPECT_EQ(open()->file(kNorm, revision, "README.md"), tree() / "README.md") << revision;
  EXPECT_EQ(open()->info(kNorm, "v1.0.0").commit, kCommit);
  EXPECT_EQ(code_of([&] { open()->file(kNorm, "v7", "README.md"); }), ErrorCode::revision_not_found);
  EXPECT_EQ(code_of([&] { open()->file(kNorm, "main", "no"); }), ErrorCode::not_found);
}

TEST_F(FolderHubTest, NamesAMissingRepoAndCommit) {
  EXPECT_FALSE(open()->has({RepoKind::kernel, "org/other"}));
  EXPECT_EQ(code_of([&] { open()->refs({RepoKind::kernel, "org/other"}); }), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { open()->list(kNorm, std::string(40, 'b'), ""); }), ErrorCode::revision_not_found);
  EXPECT_EQ(code_of([&] { open()->list(kNorm, "v1.0.0", ""); }), ErrorCode::invalid_argument);
}

TEST_F(FolderHubTest, RefusesPathsThatLeaveTheRepo) {
  write_file(folder_.path() / "kernels/org/secret", "s");
  EXPECT_EQ(code_of([&] { open()->fetch(kNorm, {"main", kCommit}, {{"../../secret"}}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { open()->list(kNorm, kCommit, "/etc"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { open()->refs({RepoKind::kernel, "../org"}); }), ErrorCode::invalid_argument);
}

TEST_F(FolderHubTest, RefusesLinksThatLeadOut) {
  fs::create_symlink("/etc/hostname", tree() / "build/v/link.so");
  EXPECT_EQ(code_of([&] { open()->list(kNorm, kCommit, "build"); }), ErrorCode::corrupt);
  fs::remove(tree() / "build/v/link.so");
  fs::create_directory_symlink("/etc", tree() / "build/w");
  EXPECT_EQ(code_of([&] { open()->fetch(kNorm, {"main", kCommit}, {{"build/w/hostname"}}); }), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { open()->list(kNorm, kCommit, "build"); }), ErrorCode::corrupt);
}

TEST_F(FolderHubTest, FollowsALinkToAFileOfTheSameCommit) {
  fs::create_symlink("norm.so", tree() / "build/v/link.so");
  EXPECT_EQ(open()->list(kNorm, kCommit, "build").size(), 3u);
}

TEST_F(FolderHubTest, RefusesARefThatHoldsNoCommit) {
  write_file(repo() / "refs/tags/v2", "../../../etc");
  EXPECT_EQ(code_of([&] { open()->refs(kNorm); }), ErrorCode::corrupt);
}

TEST_F(FolderHubTest, TakesAWorkingCopyAsOneCommitNamedByItsContent) {
  RepoId mine{RepoKind::kernel, "me/norm"};
  fs::path copy = folder_.path() / "kernels/me/norm";
  write_file(copy / "build/v/norm.so", "library");
  write_file(copy / ".git/config", "history");
  Refs before = open()->refs(mine);
  std::string commit = before.branches.at("main");
  EXPECT_EQ(commit.size(), 40u);
  EXPECT_EQ(open()->file(mine, "main", "build/v/norm.so"), copy / "build/v/norm.so");

  write_file(copy / ".git/config", "more history");
  EXPECT_EQ(open()->refs(mine).branches.at("main"), commit);
  write_file(copy / "build/v/norm.so", "rebuilt");
  EXPECT_NE(open()->refs(mine).branches.at("main"), commit);
  EXPECT_EQ(code_of([&] { open()->fetch(mine, {"main", commit}, {}); }), ErrorCode::revision_not_found);
}

TEST_F(FolderHubTest, SeesNothingInARepoThatIsBeingPackedForTheFirstTime) {
  write_file(folder_.path() / "kernels/me/new/commits/.staging-1/tree/a", "a");
  Refs refs = open()->refs({RepoKind::kernel, "me/new"});
  EXPECT_TRUE(refs.tags.empty());
  EXPECT_TRUE(refs.branches.empty());
}

TEST(OpenHub, NamesWhatItCannotOpen) {
  EXPECT_EQ(code_of([] { open_hub("file:///no/such/folder"); }), ErrorCode::not_found);
  EXPECT_EQ(code_of([] { open_hub("file://relative"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([] { open_hub("ftp://example.com"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([] { open_hub("example.com"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(open_hub("https://example.com/")->endpoint(), "https://example.com");
}

TEST(ContentCommit, DependsOnNamesAndBytesAlone) {
  test::TempFolder a, b;
  write_file(a.path() / "x", "1");
  write_file(a.path() / "y", "2");
  write_file(b.path() / "y", "2");
  write_file(b.path() / "x", "1");
  EXPECT_EQ(content_commit(a.path()), content_commit(b.path()));
  fs::rename(b.path() / "x", b.path() / "z");
  EXPECT_NE(content_commit(a.path()), content_commit(b.path()));
}

}  // namespace
}  // namespace graft
