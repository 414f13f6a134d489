// What processes have loaded, as others see it.
#include "loaded_registry.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "fixtures.h"
#include "graft/loaded_kernels.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

const RepoId kNorm{RepoKind::kernel, "org/norm"}, kOld{RepoKind::model, "org/old"};
const std::string kCommit(40, 'a'), kDigest = "sha256:" + std::string(64, 'b');

/// A process that does `work` and then lives until it is ended.
class Process {
 public:
  template <class Work>
  explicit Process(Work work) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      work();
      [[maybe_unused]] ssize_t told = write(ready[1], "x", 1);
      for (;;) pause();
    }
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~Process() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

class LoadedRegistry : public testing::Test {
 protected:
  std::size_t files() {
    std::error_code error;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(state_ / "loaded", error), fs::directory_iterator()));
  }
  test::TempFolder folder_;
  fs::path state_ = folder_.path() / "state";
  test::ScopedEnv env_{"GRAFT_STATE_DIR", state_.c_str()};
};

TEST_F(LoadedRegistry, KnowsAProcessUntilItIsKilled) {
  EXPECT_TRUE(loaded_kernels().empty());
  Process one([] {
    note_loaded(kNorm, kCommit, kDigest);
    note_loaded(kNorm, kCommit, kDigest);  // by another thread, for another layer: the same
    note_loaded(kOld, kCommit, kDigest);
  });
  Process two([] { note_loaded(kNorm, kCommit, kDigest); });
  std::vector<LoadedKernel> loaded = loaded_kernels();
  ASSERT_EQ(loaded.size(), 3u);
  std::erase_if(loaded, [&](const LoadedKernel& kernel) { return kernel.pid != one.pid(); });
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_EQ(loaded[0].repo, kNorm);
  EXPECT_EQ(loaded[1].repo, kOld);
  EXPECT_EQ(loaded[0].commit, kCommit);
  EXPECT_EQ(loaded[0].digest, kDigest);
  EXPECT_EQ(loaded[0].program.substr(0, 6), "loader");
  EXPECT_FALSE(loaded[0].machine.empty());
  one.kill();
  ASSERT_EQ(loaded_kernels().size(), 1u);
  EXPECT_EQ(loaded_kernels()[0].pid, two.pid());
  EXPECT_EQ(files(), 1u);  // the killed one's record is cleared away
}

TEST_F(LoadedRegistry, KeepsAForkedProcessApartFromItsParent) {
  Process parent([] {
    note_loaded(kNorm, kCommit, kDigest);
    if (fork() == 0) {
      note_loaded(kOld, kCommit, kDigest);
      for (;;) {
        if (getppid() == 1) _exit(0);
        usleep(1000);
      }
    }
    usleep(100'000);
  });
  std::vector<LoadedKernel> loaded;
  while ((loaded = loaded_kernels()).size() < 2) usleep(1000);
  EXPECT_NE(loaded[0].pid, loaded[1].pid);
}

TEST_F(LoadedRegistry, LeavesOutARecordThatIsBroken) {
  Process process([] { note_loaded(kNorm, kCommit, kDigest); });
  for (const auto& file : fs::directory_iterator(state_ / "loaded"))
    test::write_file(file.path(), "{\"repo\": 3}\n");
  EXPECT_TRUE(loaded_kernels().empty());
  EXPECT_EQ(files(), 1u);
}

TEST_F(LoadedRegistry, ToleratesThatNothingCanBeWritten) {
  test::write_file(state_, "in the way");
  Process process([] { note_loaded(kNorm, kCommit, kDigest); });
  EXPECT_TRUE(loaded_kernels().empty());
}

}  // namespace
}  // namespace graft
