#include "file_pages.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

namespace graft {
namespace {

/// Eight pages of a file, mapped privately, and a weight over them.
class FilePages : public ::testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(i);
    ASSERT_EQ(std::fwrite(values.data(), sizeof(float), values.size(), file), values.size());
    ASSERT_EQ(std::fflush(file), 0);
    map = static_cast<float*>(::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE, ::fileno(file), 0));
    ASSERT_NE(map, MAP_FAILED);
    weight = at::from_blob(map, {int64_t(values.size())});
    ASSERT_EQ(seen(), values);  // all of them are in memory now
  }
  void TearDown() override {
    ::munmap(map, bytes());
    std::fclose(file);
  }
  size_t bytes() const { return values.size() * sizeof(float); }
  std::vector<float> seen() const { return {map, map + values.size()}; }

  const size_t page = size_t(::sysconf(_SC_PAGESIZE));
  std::vector<float> values = std::vector<float>(8 * page / sizeof(float));
  std::FILE* file = std::tmpfile();
  float* map = nullptr;
  at::Tensor weight;
};

TEST_F(FilePages, AreGivenBackAndReadAgainWhenTouched) {
  EXPECT_EQ(release_pages(weight), bytes());
  EXPECT_EQ(release_pages(weight), 0u);  // none is in memory any more
  EXPECT_EQ(seen(), values);
  EXPECT_EQ(release_pages(weight), bytes());
}

TEST_F(FilePages, ThatWereWrittenStay) {
  const size_t written = 3 * page / sizeof(float) + 7;
  map[written] = values[written] = -1;
  EXPECT_EQ(release_pages(weight), bytes() - page);
  EXPECT_EQ(seen(), values);
}

TEST_F(FilePages, ThatAWeightSharesWithItsNeighboursStay) {
  const at::Tensor part = weight.narrow(0, 1, weight.numel() - 2);
  EXPECT_EQ(release_pages(part), bytes() - 2 * page);
}

TEST(ReleasePages, LeavesMemoryOfNoFileAlone) {
  const at::Tensor own = at::ones({1 << 20});
  EXPECT_EQ(release_pages(own), 0u);
  EXPECT_EQ(own.sum().item<float>(), float(1 << 20));
  EXPECT_EQ(release_pages({}), 0u);
  EXPECT_EQ(release_pages(at::ones({4}, at::kMeta)), 0u);
}

}  // namespace
}  // namespace graft
