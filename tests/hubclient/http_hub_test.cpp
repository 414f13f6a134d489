// A Hub over HTTP: what it gives, what it asks for, and what it does when it is not there.
#include <atomic>
#include <thread>

#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using HttpHubTest = HubTest;

TEST_F(HttpHubTest, ReadsTagsAndBranches) {
  Refs refs = open_hub(options())->refs(kNorm);
  EXPECT_EQ(refs.tags, (std::map<std::string, std::string>{{"v1.0.0", kMain}}));
  EXPECT_EQ(refs.branches, (std::map<std::string, std::string>{{"main", kMain}, {"feature/x", kSide}}));
  EXPECT_EQ(refs.stale, "");
}

TEST_F(HttpHubTest, TellsWhatARevisionIs) {
  serve({.token = "t", .gated_repos = {"org/model"}});
  EXPECT_EQ(open_hub(options())->info(kNorm, "feature/x").commit, kSide);
  EXPECT_FALSE(open_hub(options())->info(kNorm, "v1.0.0").gated);
  EXPECT_TRUE(open_hub(options())->info(kModel, "main").gated);
}

TEST_F(HttpHubTest, ListsFilesOverSeveralPages) {
  serve({.page_size = 2});
  std::vector<HubFile> files = open_hub(options())->list(kNorm, kMain, "");
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files[0].path, "README.md");
  EXPECT_EQ(files[0].size, kText.size());
  EXPECT_EQ(files[0].sha256, "");
  EXPECT_EQ(files[2].path, "build/v/norm.so");
  EXPECT_EQ(files[2].size, kLibrary.size());
  EXPECT_EQ(files[2].sha256.size(), 64u);
  EXPECT_GE(server().counters().tree, 3u);
}

TEST_F(HttpHubTest, ListsBelowAPrefix) {
  auto hub = open_hub(options());
  EXPECT_EQ(hub->list(kNorm, kMain, "build/v").size(), 2u);
  EXPECT_TRUE(hub->list(kNorm, kMain, "build/nothing").empty());
  EXPECT_EQ(hub->list(kNorm, kMain, "").size(), 4u);
  server().reset_counters();
  EXPECT_EQ(hub->list(kNorm, kMain, "build/v").size(), 2u);  // of the whole listing, which is kept
  EXPECT_EQ(server().counters().tree, 0u);
}

TEST_F(HttpHubTest, FetchesIntoTheLayoutOfHuggingfaceHub) {
  fs::path snapshot = fetch(*open_hub(options()), kNorm, "v1.0.0");
  EXPECT_EQ(snapshot, cached(kNorm) / "snapshots" / kMain);
  EXPECT_EQ(read_file(snapshot / "build/v/norm.so"), kLibrary);
  EXPECT_EQ(read_file(snapshot / "README.md"), kText);
  EXPECT_TRUE(fs::read_symlink(snapshot / "build/v/norm.so").string().starts_with("../../../../blobs/"));
  EXPECT_EQ(read_file(cached(kNorm) / "refs/v1.0.0"), kMain);
  EXPECT_TRUE(fs::exists(cached(kNorm) / "trees" / (kMain + ".json")));
  EXPECT_TRUE(fs::exists(cache() / "CACHEDIR.TAG"));
  EXPECT_TRUE(unfinished(cache()).empty());
}

TEST_F(HttpHubTest, FetchesOnlyWhatIsAskedForAndOnlyOnce) {
  auto hub = open_hub(options());
  fs::path snapshot = fetch(*hub, kNorm, "main", "build/v");
  EXPECT_TRUE(fs::exists(snapshot / "build/v/norm.so"));
  EXPECT_FALSE(fs::exists(snapshot / "build/w"));
  EXPECT_FALSE(fs::exists(snapshot / "README.md"));
  EXPECT_EQ(server().counters().cdn, 1u);
  server().reset_counters();
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  EXPECT_EQ(server().counters().resolve, 0u);
  EXPECT_EQ(server().counters().refs, 1u);
}

TEST_F(HttpHubTest, NeverAsksTheNetworkAboutACachedCommit) {
  fetch(*open_hub(options()), kNorm, kMain);
  server().reset_counters();
  auto hub = open_hub(options());
  fetch(*hub, kNorm, kMain);
  EXPECT_EQ(read_file(hub->file(kNorm, kMain, "README.md")), kText);
  ServerCounters counters = server().counters();
  EXPECT_EQ(counters.refs + counters.tree + counters.resolve + counters.info + counters.cdn + counters.other, 0u);
}

TEST_F(HttpHubTest, MakesNoConnectionWhenOffline) {
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  server().reset_counters();
  HubOptions off = options();
  off.offline = true;
  auto hub = open_hub(off);
  Refs refs = hub->refs(kNorm);
  EXPECT_EQ(refs.branches, (std::map<std::string, std::string>{{"main", kMain}}));
  EXPECT_NE(refs.stale.find("HF_HUB_OFFLINE"), std::string::npos);
  EXPECT_EQ(read_file(fetch(*hub, kNorm, "main", "build/v") / "build/v/norm.so"), kLibrary);
  EXPECT_EQ(read_file(hub->file(kNorm, "main", "build/v/norm.so")), kLibrary);
  EXPECT_EQ(hub->list(kNorm, kMain, "").size(), 2u);  // what is there
  EXPECT_EQ(code_of([&] { hub->list(kNorm, kSide, ""); }), ErrorCode::offline);
  EXPECT_EQ(code_of([&] { hub->file(kNorm, "main", "README.md"); }), ErrorCode::offline);
  EXPECT_EQ(code_of([&] { hub->refs(kModel); }), ErrorCode::offline);
  EXPECT_EQ(code_of([&] { hub->info(kNorm, "main"); }), ErrorCode::offline);
  EXPECT_EQ(hub->repos(RepoKind::kernel), std::vector<std::string>{"org/norm"});
  EXPECT_EQ(server().counters().connections, 0u);
}

TEST_F(HttpHubTest, UsesTheCacheAndSaysSoWhenTheHubIsOutOfReach) {
  HubOptions before = options();
  fetch(*open_hub(before), kNorm, "main");
  server_->stop();
  auto hub = open_hub(before);
  Refs refs = hub->refs(kNorm);
  EXPECT_EQ(refs.branches.at("main"), kMain);
  EXPECT_NE(refs.stale.find("connect"), std::string::npos) << refs.stale;
  EXPECT_EQ(read_file(fetch(*hub, kNorm, "main") / "README.md"), kText);
  EXPECT_EQ(read_file(hub->file(kNorm, "main", "README.md")), kText);
  EXPECT_EQ(code_of([&] { hub->refs(kModel); }), ErrorCode::offline);
}

TEST_F(HttpHubTest, UsesTheCacheWhenTheHubIsBroken) {
  fetch(*open_hub(options()), kNorm, "main");
  server().set_faults(parse_faults({"status=503:1000"}));
  EXPECT_NE(open_hub(options())->refs(kNorm).stale.find("503"), std::string::npos);
  EXPECT_EQ(code_of([&] { open_hub(options())->refs(kModel); }), ErrorCode::unavailable);
}

TEST_F(HttpHubTest, TakesTheNewCommitOfABranch) {
  auto hub = open_hub(options());
  fetch(*hub, kNorm, "main");
  refer(kNorm, "heads/main", kSide);
  EXPECT_EQ(read_file(fetch(*hub, kNorm, "main") / "README.md"), "side");
  EXPECT_EQ(read_file(cached(kNorm) / "refs/main"), kSide);
}

TEST_F(HttpHubTest, LeavesARefAtTheLastWholeFetchIfOneBreaks) {
  auto hub = open_hub(options());
  fetch(*hub, kNorm, "main");
  add(kNorm, kSide, "build/v/norm.so", "new library");
  refer(kNorm, "heads/main", kSide);
  server().set_faults(parse_faults({"wrong-bytes"}));
  EXPECT_EQ(code_of([&] { fetch(*hub, kNorm, "main"); }), ErrorCode::corrupt);
  EXPECT_EQ(read_file(cached(kNorm) / "refs/main"), kMain);
}

TEST_F(HttpHubTest, GivesOneFileAndAsksWhetherItHasChanged) {
  auto hub = open_hub(options());
  for (const char* path : {"README.md", "build/v/norm.so"}) {
    fs::path file = hub->file(kNorm, "main", path);
    EXPECT_EQ(file, cached(kNorm) / "snapshots" / kMain / path);
    EXPECT_EQ(read_file(file), path == std::string("README.md") ? kText : kLibrary);
    server().reset_counters();
    EXPECT_EQ(hub->file(kNorm, "main", path), file);
    EXPECT_EQ(server().counters().resolve, 1u);  // answered by 304
    EXPECT_EQ(server().counters().file_bytes, 0u);
    EXPECT_FALSE(server().last_request().headers.at("if-none-match").empty());
  }
  refer(kNorm, "heads/main", kSide);
  EXPECT_EQ(read_file(hub->file(kNorm, "main", "README.md")), "side");
}

TEST_F(HttpHubTest, RemembersThatACommitHasNoSuchFile) {
  auto hub = open_hub(options());
  EXPECT_EQ(code_of([&] { hub->file(kNorm, kMain, "no/such"); }), ErrorCode::not_found);
  EXPECT_TRUE(fs::exists(cached(kNorm) / ".no_exist" / kMain / "no/such"));
  server().reset_counters();
  EXPECT_EQ(code_of([&] { hub->file(kNorm, kMain, "no/such"); }), ErrorCode::not_found);
  EXPECT_EQ(server().counters().resolve, 0u);
}

TEST_F(HttpHubTest, NamesWhatIsMissing) {
  auto hub = open_hub(options());
  EXPECT_FALSE(hub->has({RepoKind::kernel, "org/other"}));
  EXPECT_TRUE(hub->has(kNorm));
  EXPECT_EQ(code_of([&] { hub->refs({RepoKind::kernel, "org/other"}); }), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { hub->info(kNorm, "v7"); }), ErrorCode::revision_not_found);
  EXPECT_EQ(code_of([&] { hub->file(kNorm, "v7", "README.md"); }), ErrorCode::revision_not_found);
  EXPECT_EQ(code_of([&] { hub->list(kNorm, std::string(40, 'c'), ""); }), ErrorCode::revision_not_found);
  EXPECT_EQ(code_of([&] { hub->list(kNorm, "main", ""); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { hub->file(kNorm, "main", "../x"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { hub->refs({RepoKind::kernel, "../x"}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { hub->fetch(kNorm, {"main", kMain}, {{"README.md", 1}}); }), ErrorCode::invalid_argument);
}

TEST_F(HttpHubTest, ShowsAPrivateRepoToItsTokenAlone) {
  serve({.token = "secret", .private_repos = {"org/norm"}});
  HubOptions with = options();
  with.token = "secret";
  EXPECT_EQ(code_of([&] { open_hub(options())->refs(kNorm); }), ErrorCode::not_found);
  EXPECT_EQ(read_file(fetch(*open_hub(with), kNorm, "main") / "build/v/norm.so"), kLibrary);
  with.token = "wrong";
  EXPECT_EQ(code_of([&] { open_hub(with)->refs(kNorm); }), ErrorCode::unauthorized);
}

TEST_F(HttpHubTest, SendsTheTokenToTheEndpointsOriginAlone) {
  serve({.token = "secret", .private_repos = {"org/norm"}});
  HubOptions with = options();
  with.token = "secret";
  add(kNorm, kMain, "large.safetensors", noise(40 << 20));  // in parts
  fetch(*open_hub(with), kNorm, "main");
  EXPECT_GT(server().counters().cdn, 3u);
  EXPECT_EQ(server().counters().authorizations_at_cdn, 0u);
}

TEST_F(HttpHubTest, SaysThatAGatedRepoIsGated) {
  serve({.token = "granted", .stranger_token = "stranger", .gated_repos = {"org/norm"}});
  EXPECT_EQ(code_of([&] { fetch(*open_hub(options()), kNorm, "main"); }), ErrorCode::gated);
  HubOptions with = options();
  with.token = "stranger";
  EXPECT_EQ(code_of([&] { fetch(*open_hub(with), kNorm, "main"); }), ErrorCode::gated);
  with.token = "granted";
  EXPECT_EQ(read_file(fetch(*open_hub(with), kNorm, "main") / "README.md"), kText);
}

TEST_F(HttpHubTest, FollowsARenamedRepo) {
  serve({.renamed = {{"old/norm", "org/norm"}}});
  const RepoId old{RepoKind::kernel, "old/norm"};
  EXPECT_EQ(read_file(fetch(*open_hub(options()), old, "main") / "build/v/norm.so"), kLibrary);
  EXPECT_EQ(read_file(open_hub(options())->file(old, "main", "README.md")), kText);
}

TEST_F(HttpHubTest, IsTheSameFromManyThreads) {
  auto hub = open_hub(options());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] { right += read_file(fetch(*hub, kNorm, "main") / "build/v/norm.so") == kLibrary; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(server().counters().file_bytes, kLibrary.size() + kText.size() + 2 + 15);  // each file once
}

TEST_F(HttpHubTest, CopiesWhereLinksAreSwitchedOff) {
  HubOptions copies = options();
  copies.symlinks = false;
  fs::path file = fetch(*open_hub(copies), kNorm, "main") / "build/v/norm.so";
  EXPECT_FALSE(fs::is_symlink(file));
  EXPECT_EQ(read_file(file), kLibrary);
  server().reset_counters();
  fetch(*open_hub(copies), kNorm, "main");
  EXPECT_EQ(server().counters().resolve, 0u);
}

TEST_F(HttpHubTest, KeepsKernelsWhereKernelsCacheSays) {
  HubOptions elsewhere = options();
  elsewhere.kernels_cache_dir = folder_.path() / "kernels-cache";
  auto hub = open_hub(elsewhere);
  fetch(*hub, kNorm, "main");
  fetch(*hub, kModel, "main");
  EXPECT_TRUE(fs::exists(folder_.path() / "kernels-cache/kernels--org--norm/snapshots"));
  EXPECT_TRUE(fs::exists(cache() / "models--org--model/snapshots"));
}

TEST_F(HttpHubTest, RefusesAFolderOfTheCacheThatLeadsOut) {
  fs::create_directories(cached(kNorm) / "snapshots" / kMain);
  fs::create_directory_symlink("/tmp", cached(kNorm) / "snapshots" / kMain / "build");
  EXPECT_EQ(code_of([&] { fetch(*open_hub(options()), kNorm, "main", "build/v"); }), ErrorCode::corrupt);
  EXPECT_FALSE(fs::exists("/tmp/v/norm.so"));
}

TEST_F(HttpHubTest, ReplacesALinkThatIsNotTheListings) {
  fs::path file = cached(kNorm) / "snapshots" / kMain / "README.md";
  fs::create_directories(file.parent_path());
  fs::create_symlink("/etc/hostname", file);
  fetch(*open_hub(options()), kNorm, "main");
  EXPECT_EQ(read_file(file), kText);
}

}  // namespace
}  // namespace graft::test
