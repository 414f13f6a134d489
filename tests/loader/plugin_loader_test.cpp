#include "plugin_loader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "fixtures.h"
#include "graft/contracts/rms_norm.h"
#include "graft/error.h"
#include "graft/plugin_call.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const LoadedPlugin> load(const fs::path& file, const std::string& name = "test",
                                         const LoadRules& rules = {}) {
  return load_plugin(SealedCopy::make(file), name, rules);
}

std::string refusal(const fs::path& file, const LoadRules& rules = {}) {
  try {
    load(file, "test", rules);
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.why();
  }
  return "loaded";
}

std::string refusal(const char* fixture) {
  return refusal(test::fixture(fixture));
}

/// RMSNorm of {3, 4} with weight 1 and eps 0 by the plugin's first entry.
float first_output(const LoadedPlugin& plugin) {
  const graft_entry& entry = plugin.entry("", GRAFT_DEVICE_CPU);
  graft_value eps{GRAFT_FLOAT, 0, {}};
  graft_instance* instance = nullptr;
  EXPECT_EQ(entry.create(&entry, &graft_contract_rms_norm_1, {GRAFT_DEVICE_CPU, 0}, &eps, &instance),
            GRAFT_OK);
  float x[] = {3, 4}, weight[] = {1, 1}, out[2];
  int64_t shape[] = {1, 2}, strides[] = {2, 1};
  auto tensor = [&](void* data, int ndim) {
    return graft_tensor{
        data, {GRAFT_DEVICE_CPU, 0}, ndim, {GRAFT_DTYPE_FLOAT, 32, 1}, shape + 2 - ndim, strides + 2 - ndim,
        0};
  };
  graft_tensor tensors[] = {tensor(x, 2), tensor(weight, 1), tensor(out, 2)};
  graft_value arguments[4] = {};
  for (int i = 0; i < 3; ++i) {
    arguments[i].tag = GRAFT_TENSOR;
    arguments[i].as.tensor = &tensors[i];
  }
  EXPECT_EQ(call_plugin([&] { return entry.forward(instance, nullptr, arguments); }), GRAFT_OK);
  entry.destroy(instance);
  return out[0];
}

const float kExpected = 3 / std::sqrt(12.5f);

TEST(PluginLoader, LoadsAPluginAndCallsIt) {
  auto plugin = load(test::fixture("good"), "org/good");
  EXPECT_EQ(plugin->name(), "org/good");
  EXPECT_EQ(plugin->digest().substr(0, 7), "sha256:");
  ASSERT_EQ(plugin->entries().size(), 1u);
  EXPECT_STREQ(plugin->entries()[0]->name, "TestRMSNorm");
  EXPECT_TRUE(fulfils(*plugin->entries()[0], "RMSNorm/1"));
  EXPECT_FALSE(fulfils(*plugin->entries()[0], "RMSNorm"));
  EXPECT_EQ(contract_names(*plugin->entries()[0]), "RMSNorm/1");
  EXPECT_EQ(plugin->extension("nobody.knows/1"), nullptr);
  EXPECT_FLOAT_EQ(first_output(*plugin), kExpected);
}

TEST(PluginLoader, GivesTheSamePluginForTheSameBytes) {
  test::TempFolder folder;
  fs::copy_file(test::fixture("good"), folder.path() / "copy.so");
  EXPECT_EQ(load(test::fixture("good")), load(folder.path() / "copy.so"));
}

TEST(PluginLoader, KeepsTwoVersionsSideBySide) {
  auto one = load(test::fixture("good")), two = load(test::fixture("good_v2"));
  EXPECT_NE(one, two);
  EXPECT_FLOAT_EQ(first_output(*one), kExpected);
  EXPECT_FLOAT_EQ(first_output(*two), 2 * kExpected);
}

TEST(PluginLoader, RunsTheBytesThatWereCheckedThoughTheFileWasSwapped) {
  test::TempFolder folder;
  fs::path file = folder.path() / "norm.so";
  fs::copy_file(test::fixture("good_v3"), file);
  SealedCopy checked = SealedCopy::make(file);
  fs::copy_file(test::fixture("good_v2"), file, fs::copy_options::overwrite_existing);
  EXPECT_FLOAT_EQ(first_output(*load_plugin(std::move(checked), "swapped")), 3 * kExpected);
}

TEST(PluginLoader, LoadsFromAPrivateFileWhereThereIsNoMemoryFile) {
  test::TempFolder folder;
  fs::path file = folder.path() / "norm.so";
  // Bytes after the ELF file's end change its digest and nothing else, so this is no plugin that is loaded
  // already.
  test::write_file(file, test::read_file(test::fixture("good_v2")) + "private");
  auto plugin = load_plugin(SealedCopy::make(file, "sha256", SealedCopy::Storage::file), "private");
  EXPECT_FLOAT_EQ(first_output(*plugin), 2 * kExpected);
}

TEST(PluginLoader, LoadsANewerMinorAndIgnoresItsAdditions) {
  auto plugin = load(test::fixture("newer_minor"));
  EXPECT_EQ(plugin->abi_minor(), 9);
  EXPECT_FLOAT_EQ(first_output(*plugin), kExpected);
}

TEST(PluginLoader, RefusesAnotherAbiMajor) {
  EXPECT_EQ(refusal("other_major"), "unsupported: is built for plugin ABI 2; this Graft has 1");
}

TEST(PluginLoader, RefusesStructsSmallerThanTheAbis) {
  EXPECT_EQ(refusal("small_plugin"), "plugin: its graft_plugin_entry has struct_size 16; ABI 1.0 needs 48");
  EXPECT_EQ(refusal("tiny_plugin"), "plugin: its graft_plugin_entry has struct_size 2");
  EXPECT_NE(refusal("small_entry").find("entry 0 has struct_size"), std::string::npos);
}

TEST(PluginLoader, RefusesMalformedEntriesByName) {
  EXPECT_EQ(refusal("no_entries"), "plugin: has no entries");
  EXPECT_EQ(refusal("too_many_entries"), "plugin: says that it has 100000 entries");
  EXPECT_EQ(refusal("null_entry"), "plugin: entry 0 is null");
  EXPECT_EQ(refusal("nameless_entry"), "plugin: entry 0 has no name");
  EXPECT_EQ(refusal("empty_contract"), "plugin: entry TestRMSNorm has an empty contract name");
  EXPECT_EQ(refusal("no_forward"), "plugin: entry TestRMSNorm has no forward");
  EXPECT_EQ(refusal("false_backward"), "plugin: entry TestRMSNorm says HAS_BACKWARD without a backward");
}

TEST(PluginLoader, LeavesAnUnknownContractToTheBinding) {
  auto plugin = load(test::fixture("wrong_contract"));
  EXPECT_FALSE(fulfils(*plugin->entries()[0], "RMSNorm/1"));
}

TEST(PluginLoader, ReportsAFailedInitWithItsMessage) {
  EXPECT_EQ(refusal("init_fails"), "plugin: init returned GRAFT_FAILED: the licence of this plugin ran out");
  EXPECT_EQ(refusal("init_fails"), "plugin: init returned GRAFT_FAILED: the licence of this plugin ran out");
}

TEST(PluginLoader, TurnsExceptionsFromInitAndEntriesIntoErrors) {
  EXPECT_EQ(refusal("init_throws"), "plugin: init returned GRAFT_FAILED: the plugin lost its way");
  EXPECT_EQ(refusal("entry_count_throws"),
            "plugin: entry_count returned GRAFT_FAILED: the plugin lost its way");
}

TEST(PluginLoader, KeepsExceptionsOutOfCreateAndForward) {
  for (const char* fixture : {"forward_throws", "forward_throws_oddly"}) {
    auto plugin = load(test::fixture(fixture));
    const graft_entry& entry = plugin->entry("", GRAFT_DEVICE_CPU);
    EXPECT_EQ(call_plugin([&] { return entry.forward(nullptr, nullptr, nullptr); }), GRAFT_FAILED);
    EXPECT_NE(plugin_message(), "");
  }
  const graft_entry& entry = load(test::fixture("create_throws"))->entry("", GRAFT_DEVICE_CPU);
  EXPECT_EQ(call_plugin([&] { return entry.create(&entry, nullptr, {}, nullptr, nullptr); }), GRAFT_FAILED);
  EXPECT_EQ(plugin_message(), "the plugin lost its way");
}

TEST(PluginLoader, PassesOnWhatCreateAndForwardSayOfTheirFailure) {
  const graft_entry& create = load(test::fixture("create_fails"))->entry("", GRAFT_DEVICE_CPU);
  EXPECT_EQ(call_plugin([&] { return create.create(&create, nullptr, {}, nullptr, nullptr); }), GRAFT_FAILED);
  EXPECT_EQ(plugin_message(), "eps is too small for me");
  const graft_entry& forward = load(test::fixture("forward_fails"))->entry("", GRAFT_DEVICE_CPU);
  EXPECT_EQ(call_plugin([&] { return forward.forward(nullptr, nullptr, nullptr); }), GRAFT_FAILED);
  EXPECT_EQ(plugin_message(), "no rows left today");
}

TEST(PluginLoader, RefusesWithoutRunningConstructors) {
  unsetenv("GRAFT_TEST_CONSTRUCTOR_RAN");
  EXPECT_EQ(refusal("constructor"), "plugin: does not export graft_plugin_entry");
  EXPECT_EQ(refusal("missing_symbol"), "plugin: does not export graft_plugin_entry");
  EXPECT_EQ(getenv("GRAFT_TEST_CONSTRUCTOR_RAN"), nullptr);
}

TEST(PluginLoader, NamesTheLibraryThatAPluginMisses) {
  EXPECT_EQ(
      refusal("missing_library"),
      "plugin: needs libfixture_absent.so, which is not among the libraries that a cpu plugin may need");
  LoadRules rules;
  rules.elf.extra_libraries = {"libfixture_absent.so"};
  EXPECT_EQ(refusal(test::fixture("missing_library"), rules),
            "plugin: cannot be linked: libfixture_absent.so: cannot open shared object file: No such file or "
            "directory");
}

TEST(PluginLoader, RefusesATruncatedFileAndAText) {
  test::TempFolder folder;
  std::string bytes = test::read_file(test::fixture("good"));
  test::write_file(folder.path() / "truncated.so", bytes.substr(0, bytes.size() / 2));
  test::write_file(folder.path() / "text.so", "this is a text");
  EXPECT_NE(refusal(folder.path() / "truncated.so").find("corrupt: is truncated"), std::string::npos);
  EXPECT_EQ(refusal(folder.path() / "text.so"), "corrupt: is no ELF file");
  EXPECT_EQ(refusal(folder.path()), "corrupt: is a folder, not a file");
}

TEST(PluginLoader, OffersLogAndAllocatorToThePlugin) {
  testing::internal::CaptureStderr();
  auto plugin = load(test::fixture("uses_host"), "org/host-user");
  std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("[graft] warning org/host-user: hello from the fixture?[31m"), std::string::npos) << log;
  EXPECT_GE(plugin->allocated_bytes(), 4096u);
  EXPECT_LT(plugin->allocated_bytes(), 1u << 20);
}

TEST(PluginLoader, RunsDeinitWhenTheProcessEnds) {
  EXPECT_FALSE(plugins_are_gone());
  EXPECT_EXIT(
      {
        load(test::fixture("uses_host"));
        std::exit(plugins_are_gone() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "the fixture's deinit ran");
}

TEST(PluginLoader, ChoosesTheFirstEntryWhoseCpuFeaturesAreThere) {
  auto plugin = load(test::fixture("three_entries"));
  EXPECT_EQ(&plugin->entry("TestRMSNorm", GRAFT_DEVICE_CPU), plugin->entries()[1]);
  EXPECT_EQ(&plugin->entry("OtherRMSNorm", GRAFT_DEVICE_CPU), plugin->entries()[2]);
}

std::string entry_refusal(const char* fixture, const char* entry) {
  try {
    load(test::fixture(fixture))->entry(entry, GRAFT_DEVICE_CPU);
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.why() + " | " + e.mend();
  }
  return "found";
}

TEST(PluginLoader, SaysWhyAnEntryCannotBeHad) {
  EXPECT_EQ(entry_refusal("good", "Other"), "not_found: the plugin has no such entry | it has: TestRMSNorm");
  EXPECT_NE(entry_refusal("wrong_cpu_feature", "TestRMSNorm")
                .find("unsupported: needs the CPU feature nosuchfeature"),
            std::string::npos);
  EXPECT_NE(entry_refusal("cuda_entry", "TestRMSNorm").find("unsupported: is not for this device"),
            std::string::npos);
  EXPECT_EQ(entry_refusal("three_entries", ""),
            "invalid_argument: the reference names no entry | append one of them: TestRMSNorm, OtherRMSNorm");
}

TEST(PluginLoader, InitialisesOnceThoughManyThreadsAsk) {
  test::TempFolder folder;
  fs::path file = folder.path() / "norm.so";
  test::write_file(file, test::read_file(test::fixture("uses_host")) + "threads");
  std::vector<std::shared_ptr<const LoadedPlugin>> plugins(8);
  std::vector<std::thread> threads;
  for (auto& plugin : plugins) threads.emplace_back([&plugin, &file] { plugin = load(file); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& plugin : plugins) EXPECT_EQ(plugin, plugins[0]);
  EXPECT_LT(plugins[0]->allocated_bytes(), 2u * 4096 + 1024);  // what one init keeps
}

}  // namespace
}  // namespace graft
