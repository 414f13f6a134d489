#include "graft/kernel_ref.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

TEST(KernelRef, ReadsRepoRevisionAndEntry) {
  KernelRef ref = KernelRef::parse("graft-kernels/norm@v1.2.0:RMSNorm");
  EXPECT_EQ(ref.repo, "graft-kernels/norm");
  EXPECT_EQ(ref.revision, "v1.2.0");
  EXPECT_EQ(ref.entry, "RMSNorm");
  EXPECT_FALSE(ref.is_local());
}

TEST(KernelRef, TakesEachPartAsOptional) {
  EXPECT_EQ(KernelRef::parse("a/b").repo, "a/b");
  EXPECT_EQ(KernelRef::parse("a/b").revision, "");
  EXPECT_EQ(KernelRef::parse("a/b:E").entry, "E");
  EXPECT_EQ(KernelRef::parse("a/b@main").revision, "main");
}

TEST(KernelRef, ReadsRangesAndBranchesWithSlashes) {
  EXPECT_EQ(KernelRef::parse("a/b@>=2.0,<3.0:E").revision, ">=2.0,<3.0");
  EXPECT_EQ(KernelRef::parse("a/b@==2.*").revision, "==2.*");
  EXPECT_EQ(KernelRef::parse("a/b@refs/pr/1").revision, "refs/pr/1");
}

TEST(KernelRef, ReadsAbsolutePaths) {
  KernelRef ref = KernelRef::parse("/home/me/norm:RMSNorm");
  EXPECT_TRUE(ref.is_local());
  EXPECT_EQ(ref.local, "/home/me/norm");
  EXPECT_EQ(ref.entry, "RMSNorm");
  EXPECT_EQ(KernelRef::parse("/a:b/c").local, "/a:b/c");  // a colon in a folder's name
  EXPECT_EQ(KernelRef::parse("/a/v@2/x.so").local, "/a/v@2/x.so");
}

TEST(KernelRef, PrintsWhatItRead) {
  for (const char* text : {"a/b", "a/b@v1", "a/b:E", "a/b@>=1,<2:E", "/x/y", "/x/y:E"}) {
    KernelRef ref = KernelRef::parse(text);
    EXPECT_EQ(ref.str(), text);
    EXPECT_EQ(KernelRef::parse(ref.str()), ref);
  }
}

struct Bad {
  const char* text;
  std::size_t caret;  // the byte under which it stands
};

class BadRef : public testing::TestWithParam<Bad> {};

TEST_P(BadRef, IsRefusedWithACaretUnderThePlace) {
  try {
    KernelRef::parse(GetParam().text);
    FAIL() << GetParam().text << " was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(e.why().find("\n  " + std::string(GetParam().caret, ' ') + "^"), std::string::npos) << e.what();
    EXPECT_FALSE(e.mend().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Texts, BadRef,
                         testing::Values(Bad{"", 0}, Bad{"norm", 4}, Bad{"/a\tb", 2}, Bad{"a/b/c", 3},
                                         Bad{"./a/b", 3}, Bad{"a/", 2}, Bad{"/x:", 3}, Bad{"a/b@", 4},
                                         Bad{"a/b@:E", 4}, Bad{"a/b:", 4}, Bad{"a/b:E:F", 5}, Bad{"a b/c", 1},
                                         Bad{"a/b@v 1", 5}, Bad{"a/b@../x", 4}, Bad{"a/..", 0},
                                         Bad{"a/b@>=", 6}, Bad{"a/b@>=1,x:E", 8}, Bad{"a/b@==1.*,>2.*", 13}, Bad{"a/b:E/F", 5}, Bad{"https://x/y", 5}));

TEST(KernelRef, HoldsReposAgainstTheHubsRules) {
  for (const char* text : {"a--b/c", "a/b--c", "a/b..c", "-a/b", "a/b-", "a/.b", "a./b", "a/b.git"})
    EXPECT_THROW(KernelRef::parse(text), Error) << text;
  EXPECT_NO_THROW(KernelRef::parse("_a/b_c.d-e"));
}

TEST(KernelRef, RefusesNulAndOverlongTexts) {
  EXPECT_THROW(KernelRef::parse(std::string("a/b\0c", 5)), Error);
  EXPECT_THROW(KernelRef::parse("a/b:" + std::string(5000, 'x')), Error);
}

}  // namespace
}  // namespace graft
