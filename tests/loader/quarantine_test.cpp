#include "graft/quarantine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "fixtures.h"
#include "graft/error.h"
#include "plugin_loader.h"
#include "probe_memory.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

const std::string kDigest = "sha256:" + std::string(60, 'a') + "0123";

class Quarantine : public testing::Test {
 protected:
  fs::path state() const { return folder_.path() / "state"; }

  /// The fixture with bytes behind its end that nothing reads: a digest that no other test has loaded.
  SealedCopy copy(const char* fixture) const {
    fs::path file = folder_.path() / fixture;
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    test::write_file(file, test::read_file(test::fixture(fixture)) + test->name());
    return SealedCopy::make(file);
  }

  /// "loaded", or what load_plugin said.
  std::string load(const char* fixture, const LoadRules& rules = {}) const {
    try {
      load_plugin(copy(fixture), "org/kernel", rules);
    } catch (const Error& e) {
      return std::string(name(e.code())) + ": " + e.why();
    }
    return "loaded";
  }

  std::string digest(const char* fixture) const { return copy(fixture).digest(); }

 private:
  test::TempFolder folder_;
  test::ScopedEnv variable_{"GRAFT_STATE_DIR", (folder_.path() / "state").c_str()};
};

TEST_F(Quarantine, KeepsListsAndLifts) {
  EXPECT_TRUE(list_quarantine().empty());
  EXPECT_FALSE(find_quarantined(kDigest));
  EXPECT_TRUE(quarantine(kDigest, "org/kernel", "it made a \"noise\"\n"));
  ASSERT_EQ(list_quarantine().size(), 1u);
  auto found = find_quarantined(kDigest);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->digest, kDigest);
  EXPECT_EQ(found->name, "org/kernel");
  EXPECT_EQ(found->reason, "it made a \"noise\"\n");
  EXPECT_EQ(found->when.size(), std::string("2026-05-04T12:30:00Z").size());
  EXPECT_EQ(found->graft_version, GRAFT_VERSION);
  EXPECT_EQ(lift_quarantine(kDigest.substr(0, 7 + 12)), kDigest);
  EXPECT_FALSE(find_quarantined(kDigest));
}

TEST_F(Quarantine, IsThisUsersAlone) {
  quarantine(kDigest, "org/kernel", "why");
  struct stat status {};
  ASSERT_EQ(stat((state() / "quarantine").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((state() / "quarantine" / (kDigest.substr(7) + ".json")).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(Quarantine, HoldsWhereItsRecordCannotBeRead) {
  test::write_file(state() / "quarantine" / (kDigest.substr(7) + ".json"), "{");
  auto found = find_quarantined(kDigest);
  ASSERT_TRUE(found);
  EXPECT_NE(found->reason.find("its record cannot be read"), std::string::npos);
  EXPECT_EQ(list_quarantine().size(), 1u);
  EXPECT_EQ(lift_quarantine(kDigest), kDigest);
}

TEST_F(Quarantine, SaysWhatIsWrongWithADigest) {
  auto code = [](std::string_view digest) {
    try {
      lift_quarantine(digest);
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code("sha256:abc"), ErrorCode::invalid_argument);
  EXPECT_EQ(code("../../../etc/passwd"), ErrorCode::invalid_argument);
  EXPECT_EQ(code(kDigest), ErrorCode::not_found);
  EXPECT_THROW(quarantine("sha256:../x", "", ""), Error);
  quarantine(kDigest, "", "");
  quarantine("sha256:" + std::string(64, 'a'), "", "");
  EXPECT_EQ(code("aaaaaaaa"), ErrorCode::not_found);  // two begin so
}

TEST_F(Quarantine, TakesInWhatFailsItsProbeAndRefusesItFromThenOn) {
  EXPECT_EQ(
      load("hostile_Crash"),
      "plugin: failed when it was tried in a process of its own: its constructor crashed (SIGSEGV); it is "
      "quarantined from now on");
  ASSERT_TRUE(find_quarantined(digest("hostile_Crash")));
  EXPECT_EQ(find_quarantined(digest("hostile_Crash"))->reason, "its constructor crashed (SIGSEGV)");
  std::string again = load("hostile_Crash");
  EXPECT_EQ(again.substr(0, 33), "plugin: is quarantined since 20" + again.substr(31, 2)) << again;
  EXPECT_NE(again.find(": its constructor crashed (SIGSEGV)"), std::string::npos);

  // Also in another process, and with the probe off; and it is tried again once it is lifted.
  EXPECT_EXIT(std::exit(load("hostile_Crash", {.probe = false}).find("is quarantined") == std::string::npos),
              testing::ExitedWithCode(0), "");
  lift_quarantine(digest("hostile_Crash"));
  EXPECT_NE(load("hostile_Crash").find("failed when it was tried"), std::string::npos);
}

TEST_F(Quarantine, RefusesWhatWasAddedByHand) {
  quarantine(digest("good_v3"), "org/kernel", "CVE-2026-1");
  EXPECT_NE(load("good_v3").find("CVE-2026-1"), std::string::npos);
  lift_quarantine(digest("good_v3"));
  EXPECT_EQ(load("good_v3"), "loaded");
}

TEST_F(Quarantine, IsNotForPluginsThatSayNo) {
  EXPECT_EQ(load("init_fails"), "plugin: init returned GRAFT_FAILED: the licence of this plugin ran out");
  EXPECT_TRUE(list_quarantine().empty());
  EXPECT_FALSE(has_passed_probe(digest("init_fails")));
}

TEST_F(Quarantine, ProbesADigestOnceOnAMachine) {
  EXPECT_FALSE(has_passed_probe(digest("good")));
  EXPECT_EQ(load("good"), "loaded");
  EXPECT_TRUE(has_passed_probe(digest("good")));
  EXPECT_FALSE(has_passed_probe(digest("good_v2")));
  EXPECT_EQ(load("good_v2", {.probe = false}), "loaded");
  EXPECT_FALSE(has_passed_probe(digest("good_v2")));
}

TEST_F(Quarantine, GoesOnWhereTheStateFolderCannotBeWritten) {
  test::write_file(state(), "a file where the folder should be");
  EXPECT_EQ(load("hostile_Nothing"), "loaded");
  EXPECT_FALSE(has_passed_probe(digest("hostile_Nothing")));
  EXPECT_NE(load("hostile_Exit3").find("exit 3"), std::string::npos);
  EXPECT_NE(load("hostile_Exit3").find("exit 3"), std::string::npos);
  test::ScopedEnv none("GRAFT_STATE_DIR", nullptr), xdg("XDG_STATE_HOME", nullptr), home("HOME", nullptr);
  EXPECT_TRUE(state_folder().empty());
  EXPECT_EQ(load("hostile_Socket"), "loaded");
  EXPECT_FALSE(quarantine(kDigest, "", ""));
}

TEST_F(Quarantine, StandsWhereXdgSaysIt) {
  test::ScopedEnv none("GRAFT_STATE_DIR", nullptr), xdg("XDG_STATE_HOME", "/x/state"),
      home("HOME", "/home/me");
  EXPECT_EQ(state_folder(), "/x/state/graft");
  test::ScopedEnv relative("XDG_STATE_HOME", "state");
  EXPECT_EQ(state_folder(), "/home/me/.local/state/graft");
}

TEST_F(Quarantine, TakesNoOtherUsersWordForAPassedProbe) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make files another user's";
  remember_passed_probe(kDigest);
  ASSERT_TRUE(has_passed_probe(kDigest));
  for (const auto& entry : fs::recursive_directory_iterator(state() / "probed")) {
    if (entry.is_regular_file()) {
      ASSERT_EQ(chown(entry.path().c_str(), 12345, 12345), 0);
    }
  }
  EXPECT_FALSE(has_passed_probe(kDigest));
}

/// Processes that load at once: each waits for the first one's probe instead of making its own.
TEST_F(Quarantine, ProbesOnceThoughManyProcessesLoad) {
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    SealedCopy library = copy("hostile_Hang");  // before anybody else writes that file anew
    pid_t child = fork();
    if (child == 0) {
      try {
        load_plugin(std::move(library), "org/kernel", {.limits = {.time = std::chrono::milliseconds(500)}});
      } catch (const Error& e) {
        _exit(e.why().starts_with("is quarantined since") ? 0 : 1);
      }
      _exit(2);
    }
    children.push_back(child);
  }
  int probed = 0;
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_LE(WEXITSTATUS(status), 1);
    probed += WEXITSTATUS(status);
  }
  EXPECT_EQ(probed, 1);
  EXPECT_EQ(list_quarantine().size(), 1u);
}

TEST_F(Quarantine, LoadsAgainWithoutDelay) {
  using Clock = std::chrono::steady_clock;
  auto microseconds = [](auto since) {
    return std::chrono::duration<double, std::micro>(Clock::now() - since).count();
  };
  load("good");
  EXPECT_EXIT(
      {
        // A process that has not loaded it, where the digest has passed.
        SealedCopy library = copy("good_v2");
        remember_passed_probe(library.digest());
        auto begin = Clock::now();
        load_plugin(std::move(library), "org/kernel");
        std::printf("first load of a digest that passed its probe: %.0f us\n", microseconds(begin));
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
  std::vector<SealedCopy> copies;
  for (int i = 0; i < 100; ++i) copies.push_back(copy("good"));
  auto begin = Clock::now();
  for (SealedCopy& library : copies) load_plugin(std::move(library), "org/kernel");
  double each = microseconds(begin) / 100;
  std::printf("second load in one process: %.2f us\n", each);
}

}  // namespace
}  // namespace graft
