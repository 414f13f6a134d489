// graft lock, versions, info and download, as a project meets them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "graft/pack.h"
#include "hub_server.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Result;
using test::run_graft;

class LockCommand : public testing::Test {
 protected:
  LockCommand() {
    hub_.add("kernels-community/norm", "v1.0.0", test::fixture("good"));
    hub_.add("kernels-community/norm", "v1.1.0", test::fixture("good_v2"));
  }
  Result lock(const std::string& words) { return run_graft("lock --dir " + project_.path().string() + " " + words); }
  json locked() { return json::parse(test::read_file(project_.path() / "graft.lock")); }

  test::TestHub hub_;
  test::TempFolder empty_, project_, cache_;
  test::ScopedEnv embedded_{"GRAFT_HUB", empty_.path().c_str()};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
  test::ScopedEnv lock_{"GRAFT_LOCK", nullptr};
  test::ScopedEnv kernels_cache_{"KERNELS_CACHE", nullptr};
  test::ScopedEnv cache_variable_{"HF_HUB_CACHE", cache_.path().c_str()};
};

TEST_F(LockCommand, LocksChecksAndUpdates) {
  ASSERT_EQ(lock("'kernels-community/norm@<1.1'").exit, 0);
  EXPECT_EQ(locked()["kernels"][0]["revision"], "v1.0.0");
  EXPECT_TRUE(fs::exists(project_.path() / "kernels.lock"));
  EXPECT_EQ(lock("--check").exit, 0);
  hub_.add("kernels-community/norm", "v1.0.5", test::fixture("good_v3"));
  EXPECT_EQ(lock("--check").exit, 0);
  ASSERT_EQ(lock("").exit, 0);
  EXPECT_EQ(locked()["kernels"][0]["revision"], "v1.0.0");
  Result update = lock("--update kernels-community/norm");
  ASSERT_EQ(update.exit, 0);
  EXPECT_NE(update.out.find("v1.0.0"), std::string::npos) << update.out;
  EXPECT_EQ(locked()["kernels"][0]["revision"], "v1.0.5");
}

TEST_F(LockCommand, ChecksFailWhereTheFilesDoNotHold) {
  EXPECT_EQ(lock("--check").exit, 1);
  ASSERT_EQ(lock("kernels-community/norm").exit, 0);
  std::string text = test::read_file(project_.path() / "graft.lock"), digest = "\"digest\": \"sha256:";
  text[text.find(digest) + digest.size()] ^= 1;
  if (!std::isxdigit(text[text.find(digest) + digest.size()])) text[text.find(digest) + digest.size()] = '0';
  test::write_file(project_.path() / "graft.lock", text);
  Result check = lock("--check --json");
  EXPECT_EQ(check.exit, 1);
  EXPECT_EQ(json::parse(check.out)["up_to_date"], false);
  EXPECT_NE(check.out.find("other bytes"), std::string::npos) << check.out;
  EXPECT_EQ(test::read_file(project_.path() / "graft.lock"), text);  // a check changes nothing
}

TEST_F(LockCommand, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(lock("").exit, 2);
  EXPECT_EQ(lock("/a/path").exit, 2);
  EXPECT_EQ(lock("--check --update").exit, 2);
  EXPECT_EQ(lock("stranger/norm").exit, 1);
  ASSERT_EQ(lock("kernels-community/norm").exit, 0);
  EXPECT_EQ(lock("--update kernels-community/other").exit, 1);
  EXPECT_EQ(run_graft("lock kernels-community/norm --dir /no/such/folder").exit, 2);
}

TEST_F(LockCommand, IsHonouredInItsFolder) {
  ASSERT_EQ(lock("kernels-community/norm@v1.0.0").exit, 0);
  Result info = test::run_graft_in(project_.path(), "info kernels-community/norm --json");
  ASSERT_EQ(info.exit, 0) << info.out;
  EXPECT_EQ(json::parse(info.out)["revision"], "v1.0.0");
  EXPECT_EQ(json::parse(info.out)["locked"], true);
  EXPECT_EQ(json::parse(run_graft("info kernels-community/norm --json").out)["revision"], "v1.1.0");
}

TEST_F(LockCommand, DownloadsWhatIsLockedForUseWithoutANetwork) {
  auto server = std::make_unique<HubServer>(ServerOptions{.root = hub_.path()});
  test::ScopedEnv endpoint("HF_ENDPOINT", server->endpoint().c_str());
  ASSERT_EQ(lock("kernels-community/norm@v1.0.0").exit, 0);
  Result download = test::run_graft_in(project_.path(), "download --locked --json");
  ASSERT_EQ(download.exit, 0) << download.out;
  EXPECT_EQ(json::parse(download.out)["kernels"][0]["files"].size(), 2u);
  server.reset();
  test::ScopedEnv offline("HF_HUB_OFFLINE", "1");
  Result info = test::run_graft_in(project_.path(), "info kernels-community/norm --json");
  EXPECT_EQ(info.exit, 0) << info.out;
  EXPECT_EQ(json::parse(info.out)["entries"][0]["name"], "TestRMSNorm");
}

TEST_F(LockCommand, DownloadsForAnotherHost) {
  fs::path source = empty_.path() / "source";
  for (const char* variant : {"graft1-cpu-aarch64-linux", "graft1-cu130-x86_64-linux"}) test::write_file(source / "build" / variant / "k.so", variant);
  pack_repo({.source = source, .hub = hub_.path(), .repo = "kernels-community/far", .tag = "v1"});
  ASSERT_EQ(lock("kernels-community/far").exit, 0);
  Result here = test::run_graft_in(project_.path(), "download --locked --json");
  EXPECT_EQ(here.exit, 1);
  EXPECT_EQ(json::parse(here.out)["failed"][0]["repo"], "kernels-community/far");
  test::write_file(project_.path() / "gpu.json", R"({"os": "linux", "cpu": "x86_64", "cuda": {"driver": "13.0"}})");
  Result there = test::run_graft_in(project_.path(), "download --locked --host gpu.json --device cuda --json");
  EXPECT_EQ(there.exit, 0) << there.out;
  EXPECT_NE(there.out.find("graft1-cu130-x86_64-linux/k.so"), std::string::npos);
  Result all = test::run_graft_in(project_.path(), "download --locked --all-variants --json");
  EXPECT_EQ(all.exit, 0);
  EXPECT_NE(all.out.find("graft1-cpu-aarch64-linux/k.so"), std::string::npos);
  EXPECT_EQ(run_graft("download").exit, 2);
  EXPECT_EQ(run_graft("download a/b --locked").exit, 2);
  EXPECT_EQ(test::run_graft_in(empty_.path(), "download --locked").exit, 1);
}

TEST_F(LockCommand, ShowsVersionsAndWhatOfThemFits) {
  json versions = json::parse(run_graft("versions kernels-community/norm --json").out);
  EXPECT_EQ(versions["default"], "v1.1.0");
  ASSERT_EQ(versions["tags"].size(), 2u);
  EXPECT_EQ(versions["tags"][0]["name"], "v1.1.0");
  EXPECT_EQ(versions["tags"][0]["variant"], test::host_variant());
  EXPECT_EQ(versions["branches"][0]["name"], "main");
  test::write_file(project_.path() / "mac.json", R"({"os": "darwin", "cpu": "aarch64"})");
  json far = json::parse(run_graft("versions kernels-community/norm --json --host " + (project_.path() / "mac.json").string()).out);
  EXPECT_EQ(far["tags"][0]["variant"], "");
  EXPECT_EQ(run_graft("versions kernels-community/norm@v1").exit, 2);
  EXPECT_EQ(run_graft("versions kernels-community/none").exit, 1);
}

TEST_F(LockCommand, ShowsWhatAKernelsPublisherSaysOfIt) {
  fs::path source = empty_.path() / "source";
  test::write_file(source / "build" / test::host_variant() / "k.so", test::read_file(test::fixture("good")));
  test::write_file(source / "build" / test::host_variant() / "metadata.json", R"({"license": "MIT", "upstream": "https://example.org/up",
      "kernel-depends": [{"repo-id": "kernels-community/base", "version": 2}], "kernels-minver": "0.12.0",
      "provenance": {"kernel-builder": {"version": "1.0"}, "kernel": {"commit": "0123456789012345678901234567890123456789", "dirty": true}}})");
  pack_repo({.source = source, .hub = hub_.path(), .repo = "kernels-community/told", .tag = "v2.3.0"});
  json info = json::parse(run_graft("info kernels-community/told --json").out);
  EXPECT_EQ(info["license"], "MIT");
  EXPECT_EQ(info["version"], 2);
  EXPECT_EQ(info["dirty"], true);
  EXPECT_EQ(info["kernels_minver"], "0.12.0");
  EXPECT_EQ(info["kernel_depends"], json{"kernels-community/base@2"});
  EXPECT_EQ(info["signer"], "");
  EXPECT_EQ(info["entries"][0]["dtypes"][0], "float32");
  Result text = run_graft("info kernels-community/told");
  EXPECT_NE(text.out.find("changes that no commit holds"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("nobody whom the policy names"), std::string::npos) << text.out;
}

TEST_F(LockCommand, ShowsVariantsForADescribedHost) {
  test::write_file(project_.path() / "arm.json", R"({"os": "linux", "cpu": "aarch64"})");
  Result info = run_graft("info kernels-community/norm --json --host " + (project_.path() / "arm.json").string());
  EXPECT_EQ(info.exit, 1);
  EXPECT_EQ(json::parse(info.out)["variants"][0]["reason"], "is for x86_64; this CPU is aarch64");
  test::write_file(project_.path() / "wrong.json", R"({"os": "linux", "cpuu": "aarch64"})");
  Result wrong = run_graft("info kernels-community/norm --host " + (project_.path() / "wrong.json").string());
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_NE(wrong.out.find("cpuu"), std::string::npos) << wrong.out;
}

}  // namespace
}  // namespace graft
