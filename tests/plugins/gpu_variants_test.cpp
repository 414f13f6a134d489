// What a machine without a GPU can say of the kernels for one: that they load, and what their entries promise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "graft/check.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

// The commits of repos that have a variant for it.
std::set<fs::path> built_for(const std::string& backend) {
  std::set<fs::path> found;
  for (const auto& file : fs::recursive_directory_iterator(std::string(GRAFT_REPOS_DIR) + "/graft-kernels"))
    if (file.is_directory() && file.path().filename().string().starts_with("graft1-" + backend))
      found.insert(file.path().parent_path().parent_path());
  return found;
}

std::set<std::string> names(const VariantCheck& check) {
  std::set<std::string> found;
  for (const graft_entry* entry : check.entries) found.insert(entry->name + std::string(" ") + entry->contracts[0]);
  return found;
}

class GpuVariants : public testing::TestWithParam<const char*> {};

TEST_P(GpuVariants, PassTheCheckWithoutADeviceAndKeepTheNamesOfTheCpuOnes) {
  const std::set<fs::path> repos = built_for(GetParam());
  if (repos.empty())
    GTEST_SKIP() << "no variant graft1-" << GetParam() << "… was built: its compiler was not found or is switched off";
  for (const fs::path& repo : repos) {
    std::set<std::string> on_cpu;
    std::vector<const VariantCheck*> on_gpu;
    const RepoCheck result = check_repo(repo);
    for (const VariantCheck& check : result.variants) {
      EXPECT_THAT(check.problems, testing::IsEmpty()) << repo << ": " << check.variant;
      if (check.variant.starts_with("graft1-cpu")) on_cpu.merge(names(check));
      if (check.variant.starts_with(std::string("graft1-") + GetParam())) on_gpu.push_back(&check);
    }
    for (const VariantCheck* check : on_gpu) {
      EXPECT_EQ(check->state, VariantCheck::State::passed) << repo << ": " << testing::PrintToString(check->notes);
      for (const graft_entry* entry : check->entries) {
        if (std::string_view(entry->contracts[0]) == "DecoderLayer/1") continue;  // it writes in place: no operator can be that
        EXPECT_NE(entry->flags & GRAFT_ENTRY_COMPILE_SAFE, 0u) << repo << ": " << entry->name;
      }
      if (on_cpu.empty()) continue;  // a repo for GPUs alone
      for (const std::string& name : names(*check)) EXPECT_TRUE(on_cpu.contains(name)) << repo << ": " << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, GpuVariants, testing::Values("cu", "rocm"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft::test
