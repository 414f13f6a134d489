#include "graft/runtime.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hash.h"
#include "graft/verify.h"
#include "plugin_loader.h"
#include "variant_digest.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::fixture;

class RuntimeTest : public testing::Test {
 protected:
  RuntimeTest() {
    hub_.add("graft-kernels/norm", "v1.0.0", fixture("good"));
    hub_.add("graft-kernels/norm", "v1.1.0", fixture("good_v2"));
    hub_.add("stranger/norm", "v1.0.0", fixture("good_v3"));
  }
  Runtime& runtime() {
    if (!runtime_)
      runtime_ = std::make_unique<Runtime>(RuntimeOptions{.endpoint = hub_.endpoint(), .embedded_hub = {}});
    return *runtime_;
  }
  Kernel load(const std::string& ref, LoadOptions options = {}) {
    return runtime().load(KernelRef::parse(ref), options);
  }
  std::string refusal(const std::string& ref, LoadOptions options = {}) {
    try {
      load(ref, options);
    } catch (const Error& e) {
      return std::string(name(e.code())) + ": " + e.why();
    }
    return "loaded";
  }

  test::TempFolder empty_;
  test::ScopedEnv no_embedded_{"GRAFT_HUB", empty_.path().c_str()};
  test::TestHub hub_;
  std::unique_ptr<Runtime> runtime_;
};

TEST_F(RuntimeTest, TheProcessesMapsNameRepoAndVersionOfWhatIsLoaded) {
  const fs::path library = empty_.path() / "norm.so";  // of bytes that no other test has loaded under another name
  test::write_file(library, test::read_file(fixture("good")) + "of this test");
  hub_.add("graft-kernels/named", "v1.0.0", library);
  load("graft-kernels/named@v1.0.0:TestRMSNorm");
  const std::string maps = test::read_file("/proc/self/maps");
  EXPECT_NE(maps.find("/memfd:graft:graft-kernels/named@v1.0.0 "), std::string::npos) << maps;
}

TEST_F(RuntimeTest, LoadsTheHighestVersionAndRecordsTheWay) {
  Kernel kernel = load("graft-kernels/norm:TestRMSNorm");
  EXPECT_STREQ(kernel.entry->name, "TestRMSNorm");
  EXPECT_EQ(kernel.repo, "graft-kernels/norm");
  EXPECT_EQ(kernel.revision, "v1.1.0");
  EXPECT_EQ(kernel.commit.size(), 40u);
  EXPECT_EQ(kernel.variant, test::host_variant());
  EXPECT_EQ(kernel.digest.substr(0, 7), "sha256:");
  EXPECT_EQ(kernel.trust.state, "trusted");
  EXPECT_EQ(kernel.trust.digest, kernel.digest);
  ASSERT_EQ(kernel.variants.size(), 1u);
  EXPECT_TRUE(kernel.variants[0].accepted);
}

TEST_F(RuntimeTest, LoadsTagsRangesBranchesAndCommits) {
  Kernel old = load("graft-kernels/norm@v1.0.0");
  EXPECT_EQ(load("graft-kernels/norm@<1.1").digest, old.digest);
  EXPECT_EQ(load("graft-kernels/norm@" + old.commit).digest, old.digest);
  EXPECT_NE(load("graft-kernels/norm@main").digest, old.digest);
}

TEST_F(RuntimeTest, GivesTheSamePluginAgain) {
  EXPECT_EQ(load("graft-kernels/norm").plugin, load("graft-kernels/norm").plugin);
}

TEST_F(RuntimeTest, KnowsWhatItNeedNotCheckAgain) {
  const KernelRef norm = KernelRef::parse("graft-kernels/norm");
  EXPECT_FALSE(runtime().is_loaded(norm));
  const Kernel loaded = load("graft-kernels/norm");
  EXPECT_TRUE(runtime().is_loaded(norm));
  EXPECT_TRUE(runtime().is_loaded(KernelRef::parse("graft-kernels/norm:TestRMSNorm")));
  EXPECT_FALSE(runtime().is_loaded(KernelRef::parse("graft-kernels/norm@v1.0.0")));
  EXPECT_FALSE(runtime().is_loaded(
      norm, {.policy = std::make_shared<Policy>(runtime().policy())}));  // it may say otherwise
  const KernelRef local = KernelRef::parse(fixture("good").string());
  runtime().load(local);
  EXPECT_FALSE(runtime().is_loaded(local));  // a path is looked at each time
}

TEST_F(RuntimeTest, StaysWithWhatItResolvedForItsLife) {
  Kernel before = load("graft-kernels/norm");
  hub_.add("graft-kernels/norm", "v2.0.0", fixture("newer_minor"));
  EXPECT_EQ(load("graft-kernels/norm").commit, before.commit);
  Runtime fresh({.endpoint = hub_.endpoint(), .embedded_hub = {}});
  EXPECT_EQ(fresh.load(KernelRef::parse("graft-kernels/norm")).revision, "v2.0.0");
}

TEST_F(RuntimeTest, NamesWhatIsMissing) {
  EXPECT_NE(refusal("graft-kernels/other").find("not_found: is not in the hub"), std::string::npos);
  EXPECT_EQ(refusal("graft-kernels/norm@v7"), "revision_not_found: has no tag, branch or commit v7");
  EXPECT_EQ(refusal("graft-kernels/norm@>=7"), "revision_not_found: has no version in >=7");
  EXPECT_EQ(refusal("graft-kernels/norm:Nope"), "not_found: the plugin has no such entry");
}

TEST_F(RuntimeTest, RefusesAStrangerUnlessAllKernelsAreAllowed) {
  EXPECT_EQ(refusal("stranger/norm"), "untrusted: stranger is not a trusted publisher");
  Kernel kernel = load("stranger/norm", {.allow_all_kernels = true});
  EXPECT_EQ(kernel.trust.state, "allowed");
  EXPECT_EQ(refusal("stranger/norm"),
            "untrusted: stranger is not a trusted publisher");  // the switch is no memory
}

TEST_F(RuntimeTest, NeverLoadsAWrongDigestWhateverTheSwitch) {
  fs::path variant = hub_.add("graft-kernels/bad", "v1", fixture("good"));
  test::write_file(variant / "kernel.so", test::read_file(fixture("good_v2")));
  EXPECT_EQ(refusal("graft-kernels/bad"), "corrupt: sha256 of kernel.so differs from metadata.json");
  EXPECT_EQ(refusal("graft-kernels/bad", {.allow_all_kernels = true}),
            "corrupt: sha256 of kernel.so differs from metadata.json");
}

TEST_F(RuntimeTest, ChecksTheDigestAgainWhenTheFilesChangedSinceAnotherLoad) {
  fs::path variant = hub_.add("graft-kernels/later", "v1", fixture("good"));
  EXPECT_EQ(refusal("graft-kernels/later"), "loaded");
  test::write_file(variant / "kernel.so", "changed");
  Runtime fresh({.endpoint = hub_.endpoint(), .embedded_hub = {}});
  EXPECT_THROW(fresh.load(KernelRef::parse("graft-kernels/later")), Error);
}

TEST_F(RuntimeTest, WarnsOfATrustedKernelWithoutDigest) {
  fs::path variant = hub_.add("kernels-community/undigested", "v1", fixture("good"));
  fs::remove(variant / "metadata.json");
  EXPECT_EQ(load("kernels-community/undigested").trust.state, "warned");
}

TEST_F(RuntimeTest, LoadsTheBytesThatWereCheckedThoughTheFileIsSwappedMeanwhile) {
  fs::path variant = hub_.add("graft-kernels/swapped", "v1.0.0", fixture("good"));
  TrustDecision decision = decide_publisher({}, "graft-kernels/swapped", false);
  VerifiedVariant checked = check_variant({}, variant, decision);
  fs::copy_file(fixture("good_v2"), variant / "kernel.so", fs::copy_options::overwrite_existing);  // after the check
  auto plugin = load_plugin(std::move(checked.library), "swapped");
  EXPECT_EQ(plugin->digest(), "sha256:" + to_hex(hash_file(fixture("good"), "sha256")));
  EXPECT_NE(plugin->digest(), "sha256:" + to_hex(hash_file(variant / "kernel.so", "sha256")));
  EXPECT_EQ(refusal("graft-kernels/swapped").substr(0, 8), "corrupt:");
}

TEST_F(RuntimeTest, LoadsALocalKernelFromACopyUnderItsOwnName) {
  test::TempFolder folder;
  fs::path file = folder.path() / "my_kernel.so";
  test::write_file(file, test::read_file(fixture("good")) + "a build of its own");
  Kernel kernel = load(file.string() + ":TestRMSNorm");
  EXPECT_EQ(kernel.trust.state, "local");
  std::string maps = test::read_file("/proc/self/maps");
  EXPECT_NE(maps.find("/my_kernel.so\n"), std::string::npos);        // where debuggers look
  EXPECT_EQ(maps.find(file.string() + "\n"), std::string::npos);     // and not the file that a rebuild writes
  std::ofstream(file, std::ios::trunc) << "half a rebuild";
  EXPECT_STREQ(kernel.entry->name, "TestRMSNorm");
  EXPECT_EQ(fulfils(*kernel.entry, "RMSNorm/1"), true);
}

TEST_F(RuntimeTest, NamesTheKeyThatSignedAFirstPartyKernel) {
  Kernel kernel = load("graft-kernels/norm:TestRMSNorm");
  EXPECT_EQ(kernel.trust.signer.substr(0, 18), "key graft-kernels ");
  EXPECT_EQ(kernel.trust.rule, "signers");
}

TEST_F(RuntimeTest, RefusesAFirstPartyKernelWithoutItsSignature) {
  fs::path variant = hub_.add("graft-kernels/unsigned", "v1", fixture("good"));
  fs::remove(variant / "metadata.json.dsse");
  EXPECT_EQ(refusal("graft-kernels/unsigned"),
            "untrusted: is not signed, and the policy names who signs for graft-kernels");
}

TEST_F(RuntimeTest, LoadsNothingUnderAPolicyThatDoesNotParse) {
  test::TempFolder config;
  test::write_file(config.path() / "graft/policy.json", "{");
  test::ScopedEnv set("XDG_CONFIG_HOME", config.path().c_str());
  EXPECT_EQ(refusal("graft-kernels/norm:TestRMSNorm").substr(0, 8), "corrupt:");
  EXPECT_EQ(refusal("/no/such/kernel").substr(0, 8), "corrupt:");
}

TEST_F(RuntimeTest, TakesACallersOwnPolicyForOneLoad) {
  Policy policy;
  policy.denied_repos = {"graft-kernels/norm"};
  load("graft-kernels/norm:TestRMSNorm");
  EXPECT_EQ(refusal("graft-kernels/norm:TestRMSNorm", {.policy = std::make_shared<Policy>(policy)}),
            "untrusted: graft-kernels/norm is on the policy's deny list");
  policy = {};
  policy.local_kernels = false;
  EXPECT_EQ(refusal(fixture("good").string(), {.policy = std::make_shared<Policy>(policy)}),
            "untrusted: the policy does not let kernels from a path run");
}

TEST_F(RuntimeTest, SaysWhyNoVariantFits) {
  hub_.add("graft-kernels/cuda", "v1", fixture("good"), "graft1-cu130-x86_64-linux");
  EXPECT_NE(refusal("graft-kernels/cuda").find("unsupported: no variant fits this host's cpu: "),
            std::string::npos);
  EXPECT_EQ(refusal("graft-kernels/norm", {.device = "gpu"}),
            "invalid_argument: is no device that Graft knows");
  EXPECT_NE(refusal("graft-kernels/norm", {.device = "npu"}).find("unsupported"), std::string::npos);
}

TEST_F(RuntimeTest, PrefersTheVariantForThisCpusLevel) {
  const HostPlatform& host = HostPlatform::detect();
  if (host.cpu_level.empty()) GTEST_SKIP() << "no x86-64";
  test::TempFolder source;
  fs::path build = source.path() / "build";
  for (const std::string& suffix : {std::string(), "-" + host.cpu_level})
    test::write_file(build / (test::host_variant() + suffix) / "k.so", test::read_file(fixture("good")));
  Kernel kernel = load(source.path().string());
  EXPECT_EQ(kernel.variant, test::host_variant() + "-" + host.cpu_level);
}

TEST_F(RuntimeTest, LoadsEachKindOfLocalPath) {
  Kernel bare = load(fixture("good").string() + ":TestRMSNorm");
  EXPECT_EQ(bare.trust.state, "local");
  EXPECT_EQ(bare.commit, "");
  EXPECT_EQ(bare.repo, fixture("good").string());
  fs::path variant = hub_.add("me/norm", "v1", fixture("good"));
  EXPECT_EQ(load(variant.string()).variant, test::host_variant());
  EXPECT_EQ(load(variant.parent_path().parent_path().string()).variant, test::host_variant());
  EXPECT_EQ(refusal("/no/such/path"), "not_found: there is nothing at this path");
  EXPECT_EQ(refusal(fixture("good").string(), {.use_local_kernel = false}),
            "untrusted: kernels from a path are switched off");
}

TEST_F(RuntimeTest, FindsARebuiltLocalKernel) {
  test::TempFolder folder;
  fs::path file = folder.path() / "k.so";
  fs::copy_file(fixture("good"), file);
  std::string before = load(file.string()).digest;
  fs::copy_file(fixture("good_v2"), file, fs::copy_options::overwrite_existing);
  EXPECT_NE(load(file.string()).digest, before);
}

TEST_F(RuntimeTest, ReportsEveryBrokenPluginAsAnError) {
  struct {
    const char *fixture, *code;
  } cases[] = {
      {"missing_symbol", "plugin"},  {"other_major", "unsupported"}, {"small_entry", "plugin"},
      {"init_fails", "plugin"},      {"init_throws", "plugin"},      {"wrong_cpu_feature", "unsupported"},
      {"cuda_entry", "unsupported"}, {"missing_library", "plugin"},  {"no_entries", "plugin"}};
  for (const auto& broken : cases) {
    std::string repo = std::string("graft-kernels/") + broken.fixture;
    hub_.add(repo, "v1", fixture(broken.fixture));
    EXPECT_EQ(refusal(repo).substr(0, std::string(broken.code).size() + 1), std::string(broken.code) + ":")
        << repo;
  }
}

TEST_F(RuntimeTest, ReportsFilesThatAreNoLibrary) {
  test::TempFolder folder;
  std::string good = test::read_file(fixture("good"));
  test::write_file(folder.path() / "text.so", "text");
  test::write_file(folder.path() / "cut.so", good.substr(0, good.size() / 3));
  hub_.add("graft-kernels/text", "v1", folder.path() / "text.so");
  hub_.add("graft-kernels/cut", "v1", folder.path() / "cut.so");
  EXPECT_EQ(refusal("graft-kernels/text"), "corrupt: is no ELF file");
  EXPECT_NE(refusal("graft-kernels/cut").find("corrupt: is truncated"), std::string::npos);
}

TEST_F(RuntimeTest, AsksTheEmbeddedHubFirstForFirstPartyKernelsOnly) {
  test::TestHub embedded;
  embedded.add("graft-kernels/norm", "v9.0.0", fixture("good"));
  embedded.add("stranger/norm", "v9.0.0", fixture("good"));
  Runtime both({.endpoint = hub_.endpoint(), .embedded_hub = embedded.path()});
  EXPECT_EQ(both.load(KernelRef::parse("graft-kernels/norm")).revision, "v9.0.0");
  EXPECT_EQ(both.load(KernelRef::parse("stranger/norm"), {.allow_all_kernels = true}).revision, "v1.0.0");
  hub_.add("graft-kernels/only-there", "v1", fixture("good"));
  EXPECT_EQ(both.load(KernelRef::parse("graft-kernels/only-there")).revision, "v1");
}

TEST_F(RuntimeTest, NamesAnEmbeddedHubThatIsNotThere) {
  test::ScopedEnv missing("GRAFT_HUB", "/no/such/hub");
  EXPECT_EQ(refusal("graft-kernels/norm"), "not_found: there is no such folder");
  EXPECT_EQ(refusal(fixture("good").string()), "loaded");
}

TEST_F(RuntimeTest, TakesItsEndpointFromTheEnvironment) {
  test::ScopedEnv endpoint("HF_ENDPOINT", hub_.endpoint().c_str());
  Runtime runtime;
  EXPECT_EQ(runtime.load(KernelRef::parse("graft-kernels/norm")).revision, "v1.1.0");
}

TEST_F(RuntimeTest, NamesAFolderThatCannotBeRead) {
  fs::path tags = hub_.path() / "kernels/graft-kernels/norm/refs/tags";
  fs::remove_all(tags);
  fs::create_symlink("tags", tags);  // a link to itself
  EXPECT_NE(refusal("graft-kernels/norm").find("io: " + tags.string()), std::string::npos);
}

TEST_F(RuntimeTest, LocatesWithoutLoading) {
  LocatedPackage found = runtime().locate(KernelRef::parse("stranger/norm"));
  EXPECT_EQ(found.revision, "v1.0.0");
  EXPECT_EQ(found.variants.chosen, test::host_variant());
  EXPECT_EQ(found.files.size(), 2u);  // the library and metadata.json
  EXPECT_TRUE(fs::is_directory(runtime().fetch(found)));
}

TEST_F(RuntimeTest, VerifiesPolicyAndDigestsWithoutLoading) {
  EXPECT_TRUE(verify_kernel(runtime(), KernelRef::parse("graft-kernels/norm")).accepted);
  EXPECT_FALSE(verify_kernel(runtime(), KernelRef::parse("stranger/norm")).accepted);
  fs::path variant = hub_.add("graft-kernels/bad", "v1", fixture("init_fails"));
  EXPECT_TRUE(verify_kernel(runtime(), KernelRef::parse("graft-kernels/bad")).accepted);
  test::write_file(variant / "extra", "");
  TrustDecision refused = verify_kernel(runtime(), KernelRef::parse("graft-kernels/bad"));
  EXPECT_FALSE(refused.accepted);
  EXPECT_EQ(refused.rule, "digest");
  EXPECT_FALSE(verify_kernel(runtime(), KernelRef::parse(variant.string())).accepted);
}

TEST_F(RuntimeTest, LoadsTheSameAndDifferentKernelsFromManyThreads) {
  constexpr int kThreads = 8, kKernels = 4;
  for (int i = 0; i < kKernels; ++i) {
    test::TempFolder folder;
    test::write_file(folder.path() / "k.so",
                     test::read_file(fixture("good")) + "threads" + std::to_string(i));
    hub_.add("graft-kernels/k" + std::to_string(i), "v1", folder.path() / "k.so");
  }
  runtime();
  std::vector<std::vector<const graft_entry*>> entries(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kKernels; ++i)
        entries[t].push_back(load("graft-kernels/k" + std::to_string((i + t) % kKernels)).entry);
    });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t)
    for (int i = 0; i < kKernels; ++i) EXPECT_EQ(entries[t][i], entries[0][(i + t) % kKernels]);
}

}  // namespace
}  // namespace graft
