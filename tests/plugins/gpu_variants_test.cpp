// What a machine without a GPU can say of the kernels for one: that they load, and what their entries promise.
#include <dlfcn.h>
#include <graft/plugin.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace graft::test {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> built_for(const std::string& backend) {
  std::vector<fs::path> found;
  for (const auto& file : fs::recursive_directory_iterator(std::string(GRAFT_REPOS_DIR) + "/graft-kernels"))
    if (file.path().extension() == ".so" && file.path().parent_path().filename().string().starts_with("graft1-" + backend))
      found.push_back(file.path());
  return found;
}

const graft_plugin* load(const fs::path& file, std::string& why) {
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return why = dlerror(), nullptr;
  return static_cast<const graft_plugin*>(dlsym(handle, "graft_plugin_entry"));
}

// "name contract" of each entry.
std::set<std::string> entries(const graft_plugin* plugin) {
  std::set<std::string> names;
  for (uint32_t i = 0; i < plugin->entry_count(); ++i)
    names.insert(plugin->entry_at(i)->name + std::string(" ") + plugin->entry_at(i)->contracts[0]);
  return names;
}

class GpuVariants : public testing::TestWithParam<std::pair<const char*, int32_t>> {};

TEST_P(GpuVariants, LoadWithoutADeviceAndKeepTheNamesOfTheCpuOnes) {
  const auto [backend, device] = GetParam();
  const std::vector<fs::path> files = built_for(backend);
  if (files.empty())
    GTEST_SKIP() << "no variant graft1-" << backend << "… was built: its compiler was not found or is switched off";
  for (const fs::path& file : files) {
    std::string why;
    const graft_plugin* plugin = load(file, why);
    ASSERT_NE(plugin, nullptr) << file << ": " << why;
    EXPECT_EQ(plugin->abi_major, uint32_t(GRAFT_ABI_MAJOR)) << file;
    EXPECT_GT(plugin->entry_count(), 0u) << file;
    for (uint32_t i = 0; i < plugin->entry_count(); ++i) {
      const graft_entry* entry = plugin->entry_at(i);
      EXPECT_EQ(entry->device_type, device) << file << ": " << entry->name;
      if (std::string_view(entry->contracts[0]) == "DecoderLayer/1") continue;  // it writes in place: no operator can be that
      EXPECT_NE(entry->flags & GRAFT_ENTRY_COMPILE_SAFE, 0u) << file << ": " << entry->name;
    }
    const fs::path repo = file.parent_path().parent_path().parent_path();
    const std::string cpu = std::string(GRAFT_CPU_VARIANTS).substr(0, std::string(GRAFT_CPU_VARIANTS).find(','));
    const fs::path beside = repo / "build" / cpu / file.filename();
    if (!fs::exists(beside)) continue;  // a repo for GPUs alone
    const graft_plugin* on_cpu = load(beside, why);
    ASSERT_NE(on_cpu, nullptr) << beside << ": " << why;
    const std::set<std::string> known = entries(on_cpu);
    for (const std::string& name : entries(plugin)) EXPECT_TRUE(known.contains(name)) << file << ": " << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, GpuVariants,
                         testing::Values(std::pair{"cu", int32_t{GRAFT_DEVICE_CUDA}},
                                         std::pair{"rocm", int32_t{GRAFT_DEVICE_ROCM}}),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace graft::test
