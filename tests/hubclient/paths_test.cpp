#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/hub.h"

namespace graft {
namespace {

TEST(RepoName, TakesOrgSlashName) {
  EXPECT_NO_THROW(check_repo_name("graft-kernels/norm"));
  EXPECT_NO_THROW(check_repo_name("kernels-community/liger_kernels"));
  EXPECT_NO_THROW(check_repo_name("a/b.c-1"));
}

TEST(RepoName, RefusesWhatCouldLeaveAFolderOrLookLikeAnOption) {
  for (std::string name : {"", "norm", "/norm", "a/", "a/b/c", "../a", "a/..", "a/.git", "-a/b", "a/-b",
                           "a b/c", "a/b..c", "a/b-", "a./b", "a--b/c", "a/b--c", "a/b.git", "a\\b/c", "a/b\n", "ä/b"})
    EXPECT_THROW(check_repo_name(name), Error) << name;
  EXPECT_THROW(check_repo_name(std::string("a/b\0c", 5)), Error);
  EXPECT_THROW(check_repo_name("a/" + std::string(97, 'x')), Error);
}

TEST(PathInside, TakesPlainRelativePaths) {
  EXPECT_NO_THROW(check_inside(""));
  EXPECT_NO_THROW(check_inside("build"));
  EXPECT_NO_THROW(check_inside("build/graft1-cpu-x86_64-linux/norm.so"));
  EXPECT_NO_THROW(check_inside("a/..b/.c"));
}

TEST(PathInside, RefusesEveryWayOut) {
  for (std::string path :
       {"..", "../a", "a/../b", "a/..", "/etc/passwd", "a//b", "a/", ".", "a/./b", "a\\..\\b", "C:/x", "c:x"})
    EXPECT_THROW(check_inside(path), Error) << path;
  EXPECT_THROW(check_inside(std::string("a\0b", 3)), Error);
}

}  // namespace
}  // namespace graft
