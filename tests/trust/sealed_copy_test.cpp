#include "sealed_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hash.h"

namespace graft {
namespace {

class SealedCopyTest : public testing::TestWithParam<SealedCopy::Storage> {
 protected:
  SealedCopyTest() { test::write_file(file_, "the library's bytes"); }
  SealedCopy make() { return SealedCopy::make(file_, "sha512", GetParam()); }

  test::TempFolder folder_;
  std::filesystem::path file_ = folder_.path() / "norm.so";
};

INSTANTIATE_TEST_SUITE_P(Storage, SealedCopyTest,
                         testing::Values(SealedCopy::Storage::memory, SealedCopy::Storage::file,
                                         SealedCopy::Storage::named));

TEST_P(SealedCopyTest, HoldsTheBytesAndTheirHashes) {
  SealedCopy copy = make();
  EXPECT_EQ(copy.bytes(), "the library's bytes");
  EXPECT_EQ(copy.digest(), "sha256:" + to_hex(hash_file(file_, "sha256")));
  EXPECT_EQ(copy.hash(), hash_file(file_, "sha512"));
  EXPECT_EQ(copy.source(), file_.string());
}

TEST_P(SealedCopyTest, DoesNotChangeWithItsSource) {
  SealedCopy copy = make();
  test::write_file(file_, "swapped after the check");
  EXPECT_EQ(copy.bytes(), "the library's bytes");
  EXPECT_EQ(test::read_file(copy.path()), "the library's bytes");
}

TEST_P(SealedCopyTest, ClosesItsDescriptorUnlessKeptOpen) {
  std::string closed, kept;
  {
    SealedCopy copy = make();
    closed = copy.path();
  }
  EXPECT_EQ(access(closed.c_str(), F_OK), -1);
  {
    SealedCopy copy = make();
    SealedCopy moved = std::move(copy);
    moved.keep_open();
    kept = moved.path();
  }
  EXPECT_EQ(test::read_file(kept), "the library's bytes");
}

TEST(SealedCopy, KeepsItsNameInAFolderOfTheUsersAlone) {
  test::TempFolder folder;
  test::write_file(folder.path() / "norm.so", "bytes");
  std::filesystem::path copied;
  {
    SealedCopy copy = SealedCopy::make(folder.path() / "norm.so", "sha256", SealedCopy::Storage::named);
    copied = copy.path();
    EXPECT_EQ(copied.filename(), "norm.so");
    EXPECT_NE(copied.parent_path(), folder.path());
    struct stat status {};
    ASSERT_EQ(stat(copied.parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    ASSERT_EQ(stat(copied.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0500u);
  }
  EXPECT_FALSE(std::filesystem::exists(copied.parent_path()));
}

TEST(SealedCopy, ThatIsMemoryTellsWhatItHolds) {
  test::TempFolder folder;
  const auto name_of = [&](const std::string& file, const std::string& label) {
    test::write_file(folder.path() / file, "bytes");
    const SealedCopy copy = SealedCopy::make(folder.path() / file, "sha256", SealedCopy::Storage::memory, label);
    return std::filesystem::read_symlink(copy.path()).string();
  };
  EXPECT_EQ(name_of("norm.so", "graft-kernels/norm@v1.0.0"), "/memfd:graft:graft-kernels/norm@v1.0.0 norm.so (deleted)");
  EXPECT_EQ(name_of("norm.so", ""), "/memfd:graft:norm.so (deleted)");
  EXPECT_EQ(name_of("norm.so", "a\nb"), "/memfd:graft:a?b norm.so (deleted)");
  const std::string longest = name_of("norm.so", std::string(400, 'x'));
  EXPECT_TRUE(longest.ends_with("xx norm.so (deleted)")) << longest;
  EXPECT_NE(name_of(std::string(250, 'f') + ".so", "label"), "");
}

TEST(SealedCopy, IsFoundByOtherProcessesUnderItsPath) {
  test::TempFolder folder;
  test::write_file(folder.path() / "norm.so", "the library's bytes");
  const SealedCopy copy = SealedCopy::make(folder.path() / "norm.so");
  EXPECT_EQ(std::system(("grep -q library " + copy.path()).c_str()), 0) << copy.path();
}

TEST(SealedCopy, CannotBeWrittenGrownOrShrunk) {
  test::TempFolder folder;
  test::write_file(folder.path() / "norm.so", "bytes");
  SealedCopy copy = SealedCopy::make(folder.path() / "norm.so");
  int fd = open(copy.path().c_str(), O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(pwrite(fd, "x", 1, 0), -1);
  EXPECT_EQ(pwrite(fd, "x", 1, 5), -1);
  EXPECT_EQ(ftruncate(fd, 0), -1);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
  close(fd);
}

ErrorCode refusal(const std::filesystem::path& file) {
  try {
    SealedCopy::make(file);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

TEST(SealedCopy, RefusesWhatIsNoFileWithBytes) {
  test::TempFolder folder;
  test::write_file(folder.path() / "empty.so", "");
  ASSERT_EQ(mkfifo((folder.path() / "fifo.so").c_str(), 0600), 0);
  EXPECT_EQ(refusal(folder.path() / "missing.so"), ErrorCode::not_found);
  EXPECT_EQ(refusal(folder.path()), ErrorCode::corrupt);
  EXPECT_EQ(refusal(folder.path() / "empty.so"), ErrorCode::corrupt);
  EXPECT_EQ(refusal(folder.path() / "fifo.so"), ErrorCode::corrupt);
}

}  // namespace
}  // namespace graft
