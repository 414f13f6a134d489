// Lock files: made from a Hub, and held against what the Hub gives later.
#include "graft/lock.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/pack.h"
#include "hub_server.h"
#include "lock_check.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::fixture;

class LockTest : public testing::Test {
 protected:
  /// Packs the good fixture with these further fields of metadata.json.
  void add(const std::string& repo, const std::string& tag, const char* library, const nlohmann::json& metadata = nlohmann::json::object(),
           const std::string& variant = test::host_variant()) {
    fs::path source = sources_.path() / std::to_string(count_++), folder = source / "build" / variant;
    fs::create_directories(folder);
    fs::copy_file(fixture(library), folder / "kernel.so");
    test::write_file(folder / "metadata.json", metadata.dump());
    pack_repo({.source = source, .hub = hub_.path(), .repo = repo, .tag = tag});
  }

  RuntimeOptions options(const fs::path& lock = {}) const { return {.endpoint = endpoint_, .cache_dir = cache_.path(), .lock_file = lock}; }

  LockFile lock(const std::vector<std::string>& refs, const LockFile& kept = {}, const LoadOptions& load = {}) {
    Runtime runtime(options());
    std::vector<KernelRef> wanted;
    for (const std::string& ref : refs) wanted.push_back(KernelRef::parse(ref));
    return lock_kernels(runtime, wanted, kept, load).file;
  }

  fs::path written(const LockFile& lock) {
    write_lock(folder_.path(), lock);
    return folder_.path() / "graft.lock";
  }

  Error refusal(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& e) {
      return e;
    }
    ADD_FAILURE() << "nothing was refused";
    return {ErrorCode::internal, "", ""};
  }

  void serve() {
    server_ = std::make_unique<HubServer>(ServerOptions{.root = hub_.path()});
    endpoint_ = server_->endpoint();
  }

  test::TempFolder empty_, cache_, sources_, folder_;
  test::ScopedEnv no_embedded_{"GRAFT_HUB", empty_.path().c_str()};
  test::TestHub hub_;
  std::string endpoint_ = hub_.endpoint();
  std::unique_ptr<HubServer> server_;
  int count_ = 0;
};

TEST_F(LockTest, HoldsCommitVariantAndDigest) {
  add("kernels-community/norm", "v1.0.0", "good");
  LockFile file = lock({"kernels-community/norm"});
  ASSERT_EQ(file.kernels.size(), 1u);
  EXPECT_EQ(file.kernels[0].revision, "v1.0.0");
  EXPECT_EQ(file.kernels[0].commit.size(), 40u);
  Kernel kernel = Runtime(options()).load(KernelRef::parse("kernels-community/norm:TestRMSNorm"));
  const LockedVariant& variant = file.kernels[0].variants.at(test::host_variant());
  EXPECT_EQ(variant.digest, kernel.digest);
  EXPECT_EQ(variant.metadata.substr(0, 7), "sha256:");
}

TEST_F(LockTest, NamesWhoSigned) {
  hub_.add("graft-kernels/norm", "v1.0.0", fixture("good"));
  LockFile file = lock({"graft-kernels/norm"});
  EXPECT_NE(file.kernels[0].variants.begin()->second.signer.find("key"), std::string::npos);
}

TEST_F(LockTest, StaysWhereItIsUntilItIsUpdated) {
  add("kernels-community/norm", "v1.0.0", "good");
  LockFile first = lock({"kernels-community/norm@>=1.0,<2.0"});
  add("kernels-community/norm", "v1.1.0", "good_v2");
  LockFile again = lock({"kernels-community/norm@>=1.0,<2.0"}, first);
  EXPECT_EQ(again.graft_lock(), first.graft_lock());
  EXPECT_TRUE(differences(first, again).empty());
  LockFile updated = lock({"kernels-community/norm@>=1.0,<2.0"});
  EXPECT_EQ(updated.kernels[0].revision, "v1.1.0");
  ASSERT_EQ(differences(first, updated).size(), 1u);
  EXPECT_NE(differences(first, updated)[0].find("v1.0.0"), std::string::npos);
}

TEST_F(LockTest, WinsOverTheHubAtLoad) {
  add("kernels-community/norm", "v1.0.0", "good");
  fs::path file = written(lock({"kernels-community/norm"}));
  add("kernels-community/norm", "v1.1.0", "good_v2");
  Kernel kernel = Runtime(options(file)).load(KernelRef::parse("kernels-community/norm:TestRMSNorm"));
  EXPECT_EQ(kernel.revision, "v1.0.0");
  EXPECT_EQ(Runtime(options()).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")).revision, "v1.1.0");
  // What is not in the lock file goes its usual way; what is locked for another revision is an error.
  add("kernels-community/other", "v3.0", "good_v3");
  EXPECT_EQ(Runtime(options(file)).load(KernelRef::parse("kernels-community/other:TestRMSNorm")).revision, "v3.0");
  Error error = refusal([&] { Runtime(options(file)).load(KernelRef::parse("kernels-community/norm@v1.1.0:TestRMSNorm")); });
  EXPECT_EQ(error.code(), ErrorCode::revision_not_found);
}

TEST_F(LockTest, IsFoundByTheEnvironment) {
  add("kernels-community/norm", "v1.0.0", "good");
  fs::path file = written(lock({"kernels-community/norm"}));
  add("kernels-community/norm", "v1.1.0", "good_v2");
  test::ScopedEnv variable("GRAFT_LOCK", file.c_str());
  EXPECT_EQ(Runtime(options()).locate(KernelRef::parse("kernels-community/norm")).revision, "v1.0.0");
  test::write_file(file, "{");
  EXPECT_EQ(refusal([&] { Runtime(options()).locate(KernelRef::parse("kernels-community/norm")); }).code(), ErrorCode::corrupt);
}

TEST_F(LockTest, RefusesOtherBytesThanAreLocked) {
  add("kernels-community/norm", "v1.0.0", "good");
  for (std::string LockedVariant::*field : {&LockedVariant::digest, &LockedVariant::metadata}) {
    LockFile file = lock({"kernels-community/norm"});
    (file.kernels[0].variants.begin()->second.*field)[10] ^= 1;
    fs::path path = written(file);
    Error error = refusal([&] { Runtime(options(path)).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")); });
    EXPECT_EQ(error.code(), ErrorCode::untrusted);
    EXPECT_NE(error.why().find("the lock file has"), std::string::npos) << error.what();
    EXPECT_NE(error.mend().find("lock_file"), std::string::npos) << error.what();
    EXPECT_NE(error.mend().find("graft lock --update kernels-community/norm"), std::string::npos) << error.what();
  }
}

TEST_F(LockTest, RefusesAVariantThatIsNotLocked) {
  add("kernels-community/norm", "v1.0.0", "good");
  LockFile file = lock({"kernels-community/norm"});
  auto node = file.kernels[0].variants.extract(test::host_variant());
  node.key() = "graft1-cu130-x86_64-linux";
  file.kernels[0].variants.insert(std::move(node));
  fs::path path = written(file);
  EXPECT_EQ(refusal([&] { Runtime(options(path)).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")); }).code(), ErrorCode::untrusted);
}

TEST_F(LockTest, HoldsTheHashesOfOlderLockFiles) {
  add("kernels-community/norm", "v1.0.0", "good");
  for (bool http : {false, true}) {
    if (http) serve();
    Runtime runtime(options());
    LocatedPackage found = runtime.locate(KernelRef::parse("kernels-community/norm"));
    const std::string hash = git_lfs_concat(runtime.fetch(found), test::host_variant(), found.files);
    auto old = [&](const std::string& hash) {
      nlohmann::json list = {{{"repo_id", "kernels-community/norm"}, {"sha", found.commit}, {"variants", {{test::host_variant(), {{"hash", hash}}}}}}};
      test::write_file(folder_.path() / "kernels.lock", list.dump());
      return folder_.path() / "kernels.lock";
    };
    EXPECT_EQ(Runtime(options(old(hash))).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")).commit, found.commit);
    std::string wrong = hash;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    Error error = refusal([&] { Runtime(options(old(wrong))).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")); });
    EXPECT_EQ(error.code(), ErrorCode::untrusted);
  }
}

nlohmann::json needs(const std::string& repo, int version) {
  return {{"kernel-depends", {{{"repo-id", repo}, {"version", version}}}}};
}

TEST_F(LockTest, FollowsDependencies) {
  add("kernels-community/top", "v1", "good", needs("kernels-community/middle", 2));
  add("kernels-community/middle", "v2", "good_v2", needs("kernels-community/base", 3));
  add("kernels-community/base", "v3", "good_v3");
  add("kernels-community/base", "v4", "good");
  LockFile file = lock({"kernels-community/top"});
  ASSERT_EQ(file.kernels.size(), 3u);
  EXPECT_EQ(file.kernels[0].depends, std::vector<std::string>{"kernels-community/middle@2"});
  EXPECT_EQ(file.kernels[1].repo, "kernels-community/middle");
  EXPECT_EQ(file.kernels[2].revision, "v3");
  EXPECT_EQ(wanted_of(file), std::vector<KernelRef>{KernelRef::parse("kernels-community/top")});
}

TEST_F(LockTest, FollowsWhatTwoNeedOnce) {
  add("kernels-community/a", "v1", "good", needs("kernels-community/base", 1));
  add("kernels-community/b", "v1", "good_v2", needs("kernels-community/base", 1));
  add("kernels-community/base", "v1", "good_v3");
  EXPECT_EQ(lock({"kernels-community/a", "kernels-community/b"}).kernels.size(), 3u);
}

TEST_F(LockTest, RefusesDependenciesByName) {
  add("kernels-community/cycle", "v1", "good", needs("kernels-community/back", 1));
  add("kernels-community/back", "v1", "good_v2", needs("kernels-community/cycle", 1));
  Error cycle = refusal([&] { lock({"kernels-community/cycle@1"}); });
  EXPECT_EQ(cycle.code(), ErrorCode::corrupt);
  EXPECT_NE(cycle.why().find("kernels-community/cycle@1 → kernels-community/back@1"), std::string::npos) << cycle.what();

  add("kernels-community/lost", "v1", "good", needs("kernels-community/nowhere", 1));
  Error lost = refusal([&] { lock({"kernels-community/lost"}); });
  EXPECT_EQ(lost.code(), ErrorCode::not_found);
  EXPECT_NE(std::string(lost.what()).find("kernels-community/nowhere"), std::string::npos);
  EXPECT_NE(lost.why().find("by way of kernels-community/lost"), std::string::npos) << lost.what();

  add("kernels-community/trusting", "v1", "good", needs("stranger/base", 1));
  add("stranger/base", "v1", "good_v2");
  EXPECT_EQ(refusal([&] { lock({"kernels-community/trusting"}); }).code(), ErrorCode::untrusted);
  LoadOptions all;
  all.allow_all_kernels = true;
  EXPECT_EQ(lock({"kernels-community/trusting"}, {}, all).kernels.size(), 2u);
}

TEST_F(LockTest, RefusesWhatNewerHfKernelsAloneRead) {
  add("kernels-community/new", "v1", "good", {{"kernels-minver", "0.99.0"}});
  Error locked = refusal([&] { lock({"kernels-community/new"}); });
  EXPECT_EQ(locked.code(), ErrorCode::unsupported);
  EXPECT_NE(locked.why().find("0.99.0"), std::string::npos);
  EXPECT_EQ(refusal([&] { Runtime(options()).load(KernelRef::parse("kernels-community/new:TestRMSNorm")); }).code(), ErrorCode::unsupported);
  add("kernels-community/known", "v1", "good", {{"kernels-minver", "0.17.2"}});
  EXPECT_NO_THROW(lock({"kernels-community/known"}));
}

TEST_F(LockTest, LeavesOutAVariantWhoseSignatureDoesNotHold) {
  hub_.add("graft-kernels/norm", "v1.0.0", fixture("good"));
  fs::path unsigned_one = hub_.add("graft-kernels/norm", "v1.1.0", fixture("good_v2")).parent_path() / "graft1-cu130-x86_64-linux";
  test::write_file(unsigned_one / "kernel.so", "unsigned");
  Runtime runtime(options());
  Locked locked = lock_kernels(runtime, {KernelRef::parse("graft-kernels/norm")});
  EXPECT_EQ(locked.file.kernels[0].variants.size(), 1u);
  ASSERT_EQ(locked.warnings.size(), 1u);
  EXPECT_NE(locked.warnings[0].find("graft1-cu130-x86_64-linux"), std::string::npos);
}

TEST_F(LockTest, IsFetchedOnceAndThenLoadsOffline) {
  add("kernels-community/top", "v1", "good", needs("kernels-community/base", 1));
  add("kernels-community/base", "v1", "good_v2");
  serve();
  LockFile file = lock({"kernels-community/top"});
  {
    Runtime runtime(options());
    std::vector<HubFile> files;
    for (const LockedKernel& kernel : file.kernels) {
      EXPECT_TRUE(fs::is_directory(fetch_locked(runtime, kernel, false, files) / "build" / test::host_variant()));
      EXPECT_EQ(files.size(), 2u);
    }
  }
  server_.reset();
  fs::path path = written(file);
  test::ScopedEnv offline("HF_HUB_OFFLINE", "1");
  Kernel kernel = Runtime(options(path)).load(KernelRef::parse("kernels-community/top:TestRMSNorm"));
  EXPECT_EQ(kernel.revision, "v1");
  EXPECT_EQ(Runtime(options(path)).load(KernelRef::parse("kernels-community/base@1:TestRMSNorm")).revision, "v1");
}

TEST_F(LockTest, FetchesForAnotherHostAndAllVariants) {
  fs::path source = sources_.path() / "both";
  for (const char* variant : {"graft1-cpu-aarch64-linux", "graft1-cu130-aarch64-linux"})
    test::write_file(source / "build" / variant / "kernel.so", std::string("for ") + variant);
  pack_repo({.source = source, .hub = hub_.path(), .repo = "kernels-community/arm", .tag = "v1"});
  serve();
  LockFile file = lock({"kernels-community/arm"});
  Runtime runtime(options());
  std::vector<HubFile> files;
  EXPECT_EQ(refusal([&] { fetch_locked(runtime, file.kernels[0], false, files); }).code(), ErrorCode::unsupported);
  LoadOptions arm{.device = "cuda", .host = HostPlatform::from_json(R"({"os": "linux", "cpu": "aarch64", "cuda": {"driver": "13.1"}})")};
  fs::path top = fetch_locked(runtime, file.kernels[0], false, files, arm);
  EXPECT_TRUE(fs::exists(top / "build/graft1-cu130-aarch64-linux/kernel.so"));
  EXPECT_FALSE(fs::exists(top / "build/graft1-cpu-aarch64-linux/kernel.so"));
  fetch_locked(runtime, file.kernels[0], true, files);
  EXPECT_TRUE(fs::exists(top / "build/graft1-cpu-aarch64-linux/kernel.so"));
  file.kernels[0].variants.at("graft1-cpu-aarch64-linux").digest.back() ^= 1;
  EXPECT_EQ(refusal([&] { fetch_locked(runtime, file.kernels[0], true, files); }).code(), ErrorCode::untrusted);
}

TEST_F(LockTest, IsReadFromEitherFile) {
  EXPECT_FALSE(read_lock(folder_.path()));
  add("kernels-community/norm", "v1.0.0", "good");
  LockFile file = lock({"kernels-community/norm"});
  write_lock(folder_.path(), file);
  EXPECT_EQ(read_lock(folder_.path())->graft_lock(), file.graft_lock());
  fs::remove(folder_.path() / "graft.lock");
  EXPECT_EQ(read_lock(folder_.path())->kernels[0].commit, file.kernels[0].commit);
}

TEST_F(LockTest, TakesNoPaths) {
  EXPECT_EQ(refusal([&] { lock({"/some/path"}); }).code(), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace graft
