#include "local_package.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::write_file;

class LocalPackageTest : public testing::Test {
 protected:
  LocalPackage find(const fs::path& path) { return find_local_package(path, HostPlatform::detect(), "cpu"); }
  test::TempFolder folder_;
};

TEST_F(LocalPackageTest, TakesARepoWithVariants) {
  write_file(folder_.path() / "build" / test::host_variant() / "norm.so", "x");
  write_file(folder_.path() / "build/torch-universal/norm.py", "x");
  LocalPackage found = find(folder_.path());
  EXPECT_EQ(found.variant, test::host_variant());
  EXPECT_EQ(found.library, folder_.path() / "build" / test::host_variant() / "norm.so");
  EXPECT_EQ(found.variants.trace.size(), 2u);
}

TEST_F(LocalPackageTest, TakesAVariantsFolder) {
  fs::path variant = folder_.path() / "build" / test::host_variant();
  write_file(variant / "norm.so", "x");
  EXPECT_EQ(find(variant).variant, test::host_variant());
  EXPECT_EQ(find(variant / "").library, variant / "" / "norm.so");
}

TEST_F(LocalPackageTest, TakesAnyFolderWithOneLibraryAndALibrary) {
  write_file(folder_.path() / "norm.so", "x");
  EXPECT_EQ(find(folder_.path()).library, folder_.path() / "norm.so");
  EXPECT_EQ(find(folder_.path() / "norm.so").library, folder_.path() / "norm.so");
}

TEST_F(LocalPackageTest, SaysWhichVariantsDoNotFit) {
  write_file(folder_.path() / "build/graft2-cpu-x86_64-linux/norm.so", "x");
  LocalPackage found = find(folder_.path());
  EXPECT_TRUE(found.library.empty());
  EXPECT_NE(found.variants.why_none().find("ABI 2"), std::string::npos);
}

TEST_F(LocalPackageTest, RefusesNothingAndTwoLibraries) {
  EXPECT_THROW(find(folder_.path() / "missing"), Error);
  EXPECT_THROW(find(folder_.path()), Error);
  write_file(folder_.path() / "a.so", "x");
  write_file(folder_.path() / "b.so", "x");
  EXPECT_THROW(find(folder_.path()), Error);
}

}  // namespace
}  // namespace graft
