// Kernels from a Hub over HTTP: found, fetched, checked and loaded as those of a folder are.
#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/runtime.h"
#include "graft/verify.h"
#include "hub_server.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::fixture;

class HttpRuntimeTest : public testing::Test {
 protected:
  HttpRuntimeTest() {
    hub_.add("kernels-community/norm", "v1.0.0", fixture("good"));
    hub_.add("kernels-community/norm", "v1.1.0", fixture("good_v2"));
    variant_ = hub_.add("kernels-community/bad", "v1.0.0", fixture("good_v3"));
    server_ = std::make_unique<HubServer>(ServerOptions{.root = hub_.path()});
  }
  RuntimeOptions options() const { return {.endpoint = server_->endpoint(), .cache_dir = cache_.path()}; }
  Kernel load(const std::string& ref) { return Runtime(options()).load(KernelRef::parse(ref)); }
  ErrorCode refusal(const std::string& ref) {
    try {
      load(ref);
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "loaded " << ref;
    return ErrorCode::internal;
  }

  test::TempFolder empty_, cache_;
  test::ScopedEnv no_embedded_{"GRAFT_HUB", empty_.path().c_str()};
  test::TestHub hub_;
  fs::path variant_;
  std::unique_ptr<HubServer> server_;
};

TEST_F(HttpRuntimeTest, LoadsTheHighestVersionWithItsDigest) {
  Kernel kernel = load("kernels-community/norm:TestRMSNorm");
  EXPECT_EQ(kernel.revision, "v1.1.0");
  EXPECT_EQ(kernel.variant, test::host_variant());
  EXPECT_EQ(kernel.trust.state, "trusted");
  EXPECT_EQ(kernel.note, "");
  EXPECT_EQ(load("kernels-community/norm@>=1.0,<1.1:TestRMSNorm").revision, "v1.0.0");
}

TEST_F(HttpRuntimeTest, FetchesTheChosenVariantAlone) {
  fs::path repo = variant_.parent_path().parent_path();
  test::write_file(repo / "README.md", "a readme");
  test::write_file(repo / "build/graft1-cu130-x86_64-linux/kernel.so", "for a GPU");
  fs::path snapshot = cache_.path() / "kernels--kernels-community--bad/snapshots" / repo.filename();
  load("kernels-community/bad:TestRMSNorm");
  EXPECT_TRUE(fs::exists(snapshot / "build" / test::host_variant() / "kernel.so"));
  EXPECT_FALSE(fs::exists(snapshot / "README.md"));
  EXPECT_FALSE(fs::exists(snapshot / "build/graft1-cu130-x86_64-linux"));
}

TEST_F(HttpRuntimeTest, LooksForARepoOfKindModelWhereThereIsNoneOfKindKernel) {
  fs::create_directories(hub_.path() / "models/kernels-community");
  fs::rename(hub_.path() / "kernels/kernels-community/norm", hub_.path() / "models/kernels-community/norm");
  EXPECT_EQ(load("kernels-community/norm:TestRMSNorm").revision, "v1.1.0");
  EXPECT_TRUE(fs::exists(cache_.path() / "models--kernels-community--norm"));
  EXPECT_EQ(refusal("kernels-community/nothing"), ErrorCode::not_found);
  EXPECT_EQ(refusal("kernels-community/norm@v7"), ErrorCode::revision_not_found);
}

TEST_F(HttpRuntimeTest, DoesNotAskAboutAStrangersRepo) {
  EXPECT_EQ(refusal("stranger/norm"), ErrorCode::untrusted);
  EXPECT_EQ(server_->counters().refs, 0u);
}

TEST_F(HttpRuntimeTest, LoadsFromTheCacheAndSaysSoWhenTheHubIsOutOfReach) {
  load("kernels-community/norm:TestRMSNorm");
  RuntimeOptions before = options();
  server_->stop();
  Kernel kernel = Runtime(before).load(KernelRef::parse("kernels-community/norm:TestRMSNorm"));
  EXPECT_EQ(kernel.revision, "v1.1.0");
  EXPECT_NE(kernel.note.find("from the cache"), std::string::npos) << kernel.note;
}

TEST_F(HttpRuntimeTest, NeedsNoNetworkForACachedCommit) {
  std::string commit = load("kernels-community/norm:TestRMSNorm").commit;
  server_->reset_counters();
  Kernel kernel = load("kernels-community/norm@" + commit + ":TestRMSNorm");
  EXPECT_EQ(kernel.commit, commit);
  EXPECT_EQ(kernel.note, "");
  EXPECT_EQ(server_->counters().connections, 0u);
}

TEST_F(HttpRuntimeTest, RefusesWhatWasChangedInTheCache) {
  Kernel kernel = load("kernels-community/norm:TestRMSNorm");
  fs::path library = cache_.path() / "kernels--kernels-community--norm/snapshots" / kernel.commit / "build" /
                     kernel.variant / "kernel.so";
  std::string bytes = test::read_file(library);
  bytes[bytes.size() / 2] ^= 1;
  test::write_file(library, bytes);
  EXPECT_EQ(refusal("kernels-community/norm:TestRMSNorm"), ErrorCode::corrupt);
}

TEST_F(HttpRuntimeTest, RefusesADigestThatTheHubsOwnBytesDoNotHold) {
  test::write_file(variant_ / "kernel.so", test::read_file(fixture("good")));  // the Hub vouches for these bytes
  EXPECT_EQ(refusal("kernels-community/bad"), ErrorCode::corrupt);
}

TEST_F(HttpRuntimeTest, VerifiesWithoutLoading) {
  Runtime runtime(options());
  EXPECT_TRUE(verify_kernel(runtime, KernelRef::parse("kernels-community/norm")).accepted);
  EXPECT_FALSE(verify_kernel(runtime, KernelRef::parse("stranger/norm")).accepted);
}

TEST_F(HttpRuntimeTest, LocatesWithoutFetching) {
  LocatedPackage found = Runtime(options()).locate(KernelRef::parse("kernels-community/norm"));
  EXPECT_EQ(found.variants.chosen, test::host_variant());
  EXPECT_EQ(found.files.size(), 2u);
  EXPECT_EQ(server_->counters().resolve, 0u);
}

}  // namespace
}  // namespace graft
