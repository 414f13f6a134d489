// Several processes at one cache, and processes that are killed at any moment.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <random>
#include <thread>

#include "graft/hash.h"
#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

class ProcessesTest : public HubTest {
 protected:
  ProcessesTest() {
    for (int i = 0; i < 40; ++i)
      add(kModel, kMain, "d" + std::to_string(i % 4) + "/f" + std::to_string(i), noise(2000 + i * 500, i + 10));
    add(kModel, kMain, "weights.safetensors", noise(48 << 20, 5));
    for (const auto& item : fs::recursive_directory_iterator(repo(kModel) / "commits" / kMain))
      if (item.is_regular_file()) bytes_ += item.file_size();
    open_hub(options())->list(kModel, kMain, "");  // the server hashes its files beforehand
    fs::remove_all(cache());
  }

  pid_t start() {
    pid_t child = fork();
    if (child != 0) return child;
    setenv("HF_ENDPOINT", server_->endpoint().c_str(), 1);
    setenv("HF_HUB_CACHE", cache().c_str(), 1);
    unsetenv("KERNELS_CACHE");
    std::freopen("/dev/null", "w", stdout);
    execl(GRAFT_PROGRAM, "graft", "download", "org/model", "--repo-type", "model", "--all", "--json", nullptr);
    _exit(127);
  }
  static int finish(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  bool is_whole() const {
    for (const auto& item : fs::recursive_directory_iterator(repo(kModel) / "commits" / kMain)) {
      if (!item.is_regular_file()) continue;
      fs::path path = item.path().lexically_relative(repo(kModel) / "commits" / kMain);
      fs::path here = cached(kModel) / "snapshots" / kMain / path;
      if (!fs::exists(here) || read_file(here) != read_file(item.path())) return false;
    }
    return true;
  }

  /// What has its final name has its final bytes: a blob is called by its hash.
  void expect_no_half_blob() const {
    if (!fs::exists(cached(kModel) / "blobs")) return;
    for (const auto& blob : fs::directory_iterator(cached(kModel) / "blobs")) {
      std::string name = blob.path().filename(), bytes = read_file(blob.path());
      if (name.find('.') != name.npos) continue;
      Hasher hasher(name.size() == 64 ? "sha256" : "sha1");
      if (name.size() == 40) hasher.update("blob " + std::to_string(bytes.size()) + std::string(1, '\0'));
      hasher.update(bytes);
      EXPECT_EQ(to_hex(hasher.finish()), name);
    }
  }

  std::uint64_t bytes_ = 0;
};

TEST_F(ProcessesTest, EightAtOnceFetchEachFileOnce) {
  server().reset_counters();
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) children.push_back(start());
  for (pid_t child : children) EXPECT_EQ(finish(child), 0);
  EXPECT_TRUE(is_whole());
  EXPECT_TRUE(unfinished(cache()).empty());
  EXPECT_EQ(server().counters().file_bytes, bytes_);
}

TEST_F(ProcessesTest, KilledTwoHundredTimesAndThenWhole) {
  std::mt19937 random(4);
  double longest = 100'000;  // µs until the kill; follows what a download takes on this machine
  int killed_at_work = 0;
  for (int i = 0; i < 200; ++i) {
    pid_t child = start();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<int>(longest)));
    kill(child, SIGKILL);
    const bool killed = WIFSIGNALED(finish(child));
    killed_at_work += killed;
    if (i % 10 == 0) expect_no_half_blob();
    longest = std::clamp(longest * (killed ? 1.1 : 0.8), 1'000.0, 1'000'000.0);
    if (!killed) fs::remove_all(cache());  // it got through: anew
  }
  EXPECT_GT(killed_at_work, 50);
  expect_no_half_blob();
  EXPECT_EQ(finish(start()), 0);
  EXPECT_TRUE(is_whole());
}

}  // namespace
}  // namespace graft::test
