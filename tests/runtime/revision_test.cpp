#include "revision.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

const std::string a(40, 'a'), b(40, 'b'), c(40, 'c'), d(40, 'd');
const Refs kRefs = {{{"v1.9.0", a}, {"v1.10.0", b}, {"nightly", c}}, {{"main", d}, {"v1", a}}};

TEST(Revision, TakesTheHighestVersionWhenNoneIsAsked) {
  EXPECT_EQ(resolve_revision(kRefs, "", "org/r").name, "v1.10.0");
  EXPECT_EQ(resolve_revision(kRefs, "", "org/r").commit, b);
}

TEST(Revision, TakesVersionBranchesAndThenMain) {
  EXPECT_EQ(resolve_revision({{}, {{"v1", a}, {"v2", b}, {"main", c}}}, "", "org/r").name, "v2");
  EXPECT_EQ(resolve_revision({{}, {{"main", c}}}, "", "org/r").name, "main");
  EXPECT_EQ(resolve_revision({{{"v2.0", a}}, {{"v2", b}}}, "", "org/r").name, "v2.0");  // equal: the tag
}

TEST(Revision, ResolvesRangesTagsBranchesAndCommits) {
  EXPECT_EQ(resolve_revision(kRefs, ">=1.0,<1.10", "org/r").name, "v1.9.0");
  EXPECT_EQ(resolve_revision(kRefs, "nightly", "org/r").commit, c);
  EXPECT_EQ(resolve_revision(kRefs, "main", "org/r").commit, d);
  EXPECT_EQ(resolve_revision(kRefs, c, "org/r").commit, c);
}

TEST(Revision, ListsWhatThereIsWhenItFindsNothing) {
  auto mend = [](const Refs& refs, const std::string& revision) {
    try {
      resolve_revision(refs, revision, "org/r");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::revision_not_found);
      return e.mend();
    }
    return std::string("found");
  };
  EXPECT_EQ(mend(kRefs, "v3"), "tags: v1.9.0, v1.10.0, nightly; branches: v1, main");
  EXPECT_EQ(mend(kRefs, ">=3"), "tags: v1.9.0, v1.10.0, nightly; branches: v1, main");
  EXPECT_EQ(mend({}, ""), "tags: none; branches: none");
}

}  // namespace
}  // namespace graft
