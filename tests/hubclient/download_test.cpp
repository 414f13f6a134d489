// Downloads that go wrong: each fault of the server, of an earlier try and of the disk.
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "graft/hash.h"
#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLargeBytes = (40 << 20) + 12345;  // comes in parts

class DownloadTest : public HubTest {
 protected:
  void fault(const std::string& words) { server().set_faults(parse_faults({words})); }
  fs::path get() { return fetch(*open_hub(options()), kNorm, "main", "build/v"); }
  std::string library() { return read_file(get() / "build/v/norm.so"); }
  ErrorCode failure() { return code_of([&] { get(); }); }
  bool nothing_appeared() const { return !fs::exists(cached(kNorm) / "snapshots" / kMain / "build/v/norm.so"); }

  /// A model of one large file; the Hub is told of it before it is served.
  void add_large() { add(kModel, kMain, "model.safetensors", large_); }
  std::string get_large() { return read_file(fetch(*open_hub(options()), kModel, "main") / "model.safetensors"); }
  fs::path large_blob() const {
    Hasher hasher("sha256");
    hasher.update(large_);
    return cached(kModel) / "blobs" / to_hex(hasher.finish());
  }

  const std::string large_ = noise(kLargeBytes, 2);
};

TEST_F(DownloadTest, TriesAgainWhenTheHubIsBusy) {
  fault("status=503:2");
  EXPECT_EQ(library(), kLibrary);
  fault("status=429:1");
  EXPECT_EQ(open_hub(options())->info(kNorm, "main").commit, kMain);
}

TEST_F(DownloadTest, WaitsAsLongAsRetryAfterSays) {
  server().set_faults(parse_faults({"status=429:1", "retry-after=1"}));
  auto start = Clock::now();
  EXPECT_EQ(open_hub(options())->info(kNorm, "main").commit, kMain);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(950));
}

TEST_F(DownloadTest, GivesUpOnAServerThatWantsToBeLeftAloneForTooLong) {
  server().set_faults(parse_faults({"status=429:1", "retry-after=3600"}));
  EXPECT_EQ(code_of([&] { open_hub(options())->info(kNorm, "main"); }), ErrorCode::unavailable);
}

TEST_F(DownloadTest, GivesUpOnAServerThatStaysBroken) {
  auto hub = open_hub(options());
  std::vector<HubFile> files = hub->list(kNorm, kMain, "");
  fault("status=500:1000");
  EXPECT_EQ(code_of([&] { hub->fetch(kNorm, {"main", kMain}, files); }), ErrorCode::unavailable);
}

TEST_F(DownloadTest, GoesOnWhereAConnectionBroke) {
  fault("cut=3000:1");
  EXPECT_EQ(library(), kLibrary);
  EXPECT_LT(server().counters().file_bytes, 2 * kLibrary.size());  // not from the beginning
}

TEST_F(DownloadTest, BeginsAnewWhereTheServerHasNoRanges) {
  server().set_faults(parse_faults({"cut=3000:1", "no-ranges"}));
  EXPECT_EQ(library(), kLibrary);
}

TEST_F(DownloadTest, RefusesBytesThatAreNotTheListings) {
  fault("wrong-bytes");
  EXPECT_EQ(failure(), ErrorCode::corrupt);
  EXPECT_TRUE(nothing_appeared());
  server().set_faults({});
  EXPECT_EQ(library(), kLibrary);
  EXPECT_TRUE(unfinished(cache()).empty());
}

TEST_F(DownloadTest, TriesOnceMoreAfterWrongBytes) {
  fault("wrong-bytes:1");
  EXPECT_EQ(library(), kLibrary);
}

TEST_F(DownloadTest, RefusesAFileOfAnotherLength) {
  for (const char* words : {"wrong-length", "longer=7"}) {
    fault(words);
    EXPECT_EQ(failure(), ErrorCode::corrupt) << words;
    EXPECT_TRUE(nothing_appeared()) << words;
    // One file's failure stops the others, whose beginnings stay for a next try: which would ask for the rest alone, and get it right.
    fs::remove_all(cached(kNorm));
  }
}

TEST_F(DownloadTest, SeesThatRedirectsGoInCircles) {
  fault("redirect-loop");
  auto start = Clock::now();
  EXPECT_EQ(failure(), ErrorCode::unavailable);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

TEST_F(DownloadTest, GivesUpOnAConnectionThatStandsStillAndGoesOn) {
  fault("stall=4000:1");
  HubOptions patient = options();
  patient.download_timeout = std::chrono::seconds(1);
  EXPECT_EQ(read_file(fetch(*open_hub(patient), kNorm, "main", "build/v") / "build/v/norm.so"), kLibrary);
  fault("stall=4000");
  patient.retries = 0;
  EXPECT_EQ(code_of([&] { fetch(*open_hub(patient), kNorm, "main", "build/w"); }), ErrorCode::timed_out);
}

TEST_F(DownloadTest, IsTimedOutByAHubThatDoesNotAnswer) {
  fault("latency=5000");
  HubOptions impatient = options();
  impatient.metadata_timeout = std::chrono::seconds(1);
  impatient.retries = 0;
  EXPECT_EQ(code_of([&] { open_hub(impatient)->refs(kNorm); }), ErrorCode::timed_out);
}

TEST_F(DownloadTest, StopsWhenAsked) {
  auto hub = open_hub(options());
  hub->list(kNorm, kMain, "");
  fault("stall=30000");
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.request_stop();
  });
  auto start = Clock::now();
  EXPECT_EQ(code_of([&] { fetch(*hub, kNorm, "main", "build/v", {.stop = stop.get_token()}); }), ErrorCode::cancelled);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(3));
  server().stop();
}

TEST_F(DownloadTest, TellsHowFarItIs) {
  add_large();
  std::vector<Progress> told;
  FetchOptions fetching{.progress = [&](const Progress& progress) { told.push_back(progress); }};
  fetch(*open_hub(options()), kModel, "main", "", fetching);
  ASSERT_GE(told.size(), 2u);
  EXPECT_TRUE(told.back().done);
  EXPECT_EQ(told.back().label, "org/model");
  EXPECT_EQ(told.back().bytes, kLargeBytes + 2);
  EXPECT_EQ(told.back().received, kLargeBytes + 2);
  EXPECT_EQ(told.back().total_bytes, kLargeBytes + 2);
  EXPECT_EQ(told.back().files, 2u);
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_GE(told[i].bytes, told[i - 1].bytes);
}

TEST_F(DownloadTest, TellsOfFetchesThatGoOnAtOnceOneByOne) {
  std::atomic<int> inside = 0, together = 0, done = 0;
  HubOptions telling = options();
  telling.progress = [&](const Progress& progress) {
    if (++inside > 1) ++together;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    done += progress.done;
    --inside;
  };
  const auto hub = open_hub(telling);
  {
    std::jthread other([&] { fetch(*hub, kModel, "main"); });
    fetch(*hub, kNorm, "main");
  }
  EXPECT_EQ(done, 2);
  EXPECT_EQ(together, 0);
}

TEST_F(DownloadTest, TakesALargeFileInParts) {
  add_large();
  EXPECT_EQ(get_large() == large_, true);
  EXPECT_GE(server().counters().cdn, 5u);
  EXPECT_EQ(server().counters().file_bytes, kLargeBytes + 2);
}

TEST_F(DownloadTest, MendsPartsThatBreak) {
  add_large();
  fault("cut=3000000:3");
  EXPECT_EQ(get_large() == large_, true);
}

TEST_F(DownloadTest, TakesALargeFileWholeWhereTheServerHasNoRanges) {
  add_large();
  fault("no-ranges");
  EXPECT_EQ(get_large() == large_, true);
}

TEST_F(DownloadTest, RefusesALargeFileThatIsWrong) {
  add_large();
  for (const char* words : {"wrong-bytes", "wrong-length", "longer=7"}) {
    fault(words);
    EXPECT_EQ(code_of([&] { get_large(); }), ErrorCode::corrupt) << words;
    EXPECT_FALSE(fs::exists(large_blob())) << words;
  }
}

TEST_F(DownloadTest, GoesOnWithWhatAnEarlierProcessLeft) {
  add_large();
  fs::path partial = large_blob();
  write_file(partial += ".incomplete", large_.substr(0, 30 << 20));
  EXPECT_EQ(get_large() == large_, true);
  EXPECT_LT(server().counters().file_bytes, kLargeBytes - (29 << 20));
}

TEST_F(DownloadTest, BeginsAnewIfWhatAnEarlierProcessLeftIsWrong) {
  add_large();
  for (const std::string& left : {noise(30 << 20, 7), large_ + "more", std::string("x")}) {
    fs::remove_all(cached(kModel));
    fs::path partial = large_blob();
    write_file(partial += ".incomplete", left);
    EXPECT_EQ(get_large() == large_, true);
    EXPECT_TRUE(unfinished(cache()).empty());
  }
}

TEST_F(DownloadTest, SaysThatTheDiskIsFullAndLosesNothing) {
  add_large();
  auto hub = open_hub(options());
  hub->list(kModel, kMain, "");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small{8 << 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  ErrorCode code = code_of([&] { fetch(*hub, kModel, "main"); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(code, ErrorCode::disk_full);
  EXPECT_FALSE(fs::exists(large_blob()));
  EXPECT_EQ(get_large() == large_, true);
}

TEST_F(DownloadTest, SaysBeforehandThatThereIsNoRoom) {
  auto hub = open_hub(options());
  std::vector<HubFile> files = hub->list(kNorm, kMain, "");
  for (HubFile& file : files) file.size = std::uint64_t{1} << 43;
  server().reset_counters();
  EXPECT_EQ(code_of([&] { hub->fetch(kNorm, {"main", kMain}, files); }), ErrorCode::disk_full);
  EXPECT_EQ(server().counters().resolve, 0u);
}

TEST_F(DownloadTest, SaysThatTheCacheCannotBeWritten) {
  write_file(cache(), "a file where the cache's folder should be");
  EXPECT_EQ(failure(), ErrorCode::io);
}

}  // namespace
}  // namespace graft::test
