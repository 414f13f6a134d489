#include "probe.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "elf_check.h"
#include "fixtures.h"
#include "plugin_loader.h"
#include "probe_report.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

/// How the probe of a fixture ended, and that nothing is left of it.
std::string outcome(const char* fixture, ProbeLimits limits = {}) {
  ProbeResult result = probe(SealedCopy::make(test::fixture(fixture)), "org/kernel", {.limits = limits});
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a zombie, or a process that lives on";
  EXPECT_EQ(errno, ECHILD);
  switch (result.state) {
    case ProbeResult::State::passed:
      return "passed";
    case ProbeResult::State::refused:
      return "refused: " + result.error->why();
    case ProbeResult::State::failed:
      return result.reason;
  }
  return {};
}

std::string notes(const char* fixture) {
  std::string text;
  for (const std::string& note : probe(SealedCopy::make(test::fixture(fixture)), "org/kernel").notes)
    text += note + "\n";
  return text;
}

TEST(Probe, LetsASoundPluginPass) {
  EXPECT_EQ(outcome("good"), "passed");
  EXPECT_EQ(outcome("uses_host"), "passed");
  EXPECT_EQ(outcome("hostile_Nothing"), "passed");
  EXPECT_EQ(outcome("clashing_symbols"), "passed");
  EXPECT_EQ(notes("good"), "");
}

TEST(Probe, LetsAPrivateFilesCopyPass) {
  SealedCopy copy = SealedCopy::make(test::fixture("good"), "sha256", SealedCopy::Storage::file);
  EXPECT_EQ(probe(copy, "org/kernel").state, ProbeResult::State::passed);
}

TEST(Probe, PassesOnWhatAPluginSaysInAnOrderlyWay) {
  EXPECT_EQ(outcome("init_fails"), "refused: init returned GRAFT_FAILED: the licence of this plugin ran out");
  EXPECT_EQ(outcome("init_throws"), "refused: init returned GRAFT_FAILED: the plugin lost its way");
  EXPECT_EQ(outcome("other_major"), "refused: is built for plugin ABI 2; this Graft has 1");
  EXPECT_EQ(outcome("no_forward"), "refused: entry TestRMSNorm has no forward");
  EXPECT_EQ(
      outcome("missing_library"),
      "refused: cannot be linked: libfixture_absent.so: cannot open shared object file: No such file or "
      "directory");
}

TEST(Probe, TakesNoForAnAnswerWhereAnEntryIsTried) {
  EXPECT_EQ(outcome("create_fails"), "passed");
  EXPECT_EQ(notes("create_fails"), "create of TestRMSNorm returned GRAFT_FAILED: eps is too small for me\n");
  EXPECT_EQ(outcome("forward_throws"), "passed");
  EXPECT_EQ(outcome("wrong_dtype"), "passed");
  EXPECT_EQ(notes("wrong_contract"),
            "TestRMSNorm was not called: its contracts are none of the standard ones\n");
  EXPECT_EQ(notes("cuda_entry"), "TestRMSNorm was not called: it is for another device\n");
}

TEST(Probe, SurvivesConstructorsThatEndTheProcess) {
  EXPECT_EQ(outcome("hostile_Crash"), "its constructor crashed (SIGSEGV)");
  EXPECT_EQ(outcome("hostile_Abort"), "its constructor crashed (SIGABRT)");
  EXPECT_EQ(outcome("hostile_Exit0"), "its constructor ended the process (exit 0)");
  EXPECT_EQ(outcome("hostile_Exit3"), "its constructor ended the process (exit 3)");
  EXPECT_EQ(outcome("hostile_KillSelf"), "its constructor was ended by SIGKILL");
}

TEST(Probe, EndsAConstructorThatHangs) {
  auto begin = Clock::now();
  EXPECT_EQ(outcome("hostile_Hang", {.time = milliseconds(200)}), "its constructor took longer than 200 ms");
  EXPECT_EQ(outcome("hostile_Spin", {.time = milliseconds(200)}), "its constructor took longer than 200 ms");
  EXPECT_LT(Clock::now() - begin, milliseconds(3000));
}

TEST(Probe, LetsNoPluginStartAProcess) {
  EXPECT_EQ(outcome("hostile_Fork"), "its constructor tried to start a process, which no kernel may");
  EXPECT_EQ(outcome("hostile_Exec"), "its constructor tried to start a process, which no kernel may");
}

std::atomic<int> usr1_seen = 0;

TEST(Probe, LetsNoPluginSignalItsHost) {
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { ++usr1_seen; };
  sigaction(SIGUSR1, &action, &before);
  EXPECT_EQ(outcome("hostile_KillParent"),
            "its constructor tried to send a signal to another process, which no kernel may");
  sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(usr1_seen, 0);
}

TEST(Probe, BoundsMemory) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's shadow fits no limit";
  EXPECT_EQ(outcome("hostile_Memory"), "its constructor asked for more memory than 4 GiB (100 GiB at once)");
  EXPECT_EQ(outcome("hostile_Map", {.memory = 1 << 29}),
            "its constructor asked for more memory than 512 MiB (100 GiB at once)");
}

TEST(Probe, RefusesFilesAndSocketsAndNotesIt) {
  fs::path file = test::fixture("good").parent_path() / "written-by-a-plugin";
  fs::remove(file);
  EXPECT_EQ(outcome("hostile_Write"), "passed");
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(notes("hostile_Write"), "it was not let open a file for writing\n");
  EXPECT_EQ(notes("hostile_Socket"), "it was not let open a socket\n");
}

TEST(Probe, TakesNoResultThatThePluginDisturbed) {
  EXPECT_EQ(outcome("hostile_Scribble").find("wrote into the probe's result") != std::string::npos, true);
}

TEST(Probe, CallsEveryEntryOnce) {
  EXPECT_EQ(outcome("hostile_CrashInForward"), "forward of HostileNorm crashed (SIGSEGV)");
  EXPECT_EQ(outcome("hostile_ReadBeyond"), "forward of HostileNorm crashed (SIGSEGV)");
}

TEST(Probe, SeesDestructorsRun) {
  EXPECT_EQ(outcome("hostile_CrashAtEnd"),
            "its deinit, or a destructor as the process ended, crashed (SIGSEGV)");
  EXPECT_EQ(outcome("hostile_ExitAtEnd"), "a destructor ended the process (exit 4)");
}

TEST(Probe, LeavesTheHostsSignalHandlersAndDescriptorsAlone) {
  static std::atomic<int> children = 0;
  struct sigaction action {
  }, before{}, after{};
  action.sa_handler = [](int) { ++children; };
  sigaction(SIGCHLD, &action, &before);
  int lowest = dup(0);
  close(lowest);
  EXPECT_EQ(outcome("good"), "passed");
  sigaction(SIGCHLD, &before, &after);
  EXPECT_EQ(after.sa_handler, action.sa_handler);
  int still = dup(0);
  EXPECT_EQ(still, lowest);
  close(still);
}

TEST(Probe, WorksInHostsThatReapChildrenThemselves) {
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &before);
  SealedCopy good = SealedCopy::make(test::fixture("good"));
  SealedCopy crash = SealedCopy::make(test::fixture("hostile_Crash"));
  EXPECT_EQ(probe(good, "org/kernel").state, ProbeResult::State::passed);
  ProbeResult result = probe(crash, "org/kernel");
  sigaction(SIGCHLD, &before, nullptr);
  EXPECT_EQ(result.state, ProbeResult::State::failed);
  EXPECT_EQ(result.reason, "its constructor ended the process");
}

TEST(Probe, RunsFromManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> passed = 0, failed = 0;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      SealedCopy copy = SealedCopy::make(test::fixture(i % 2 ? "good" : "hostile_Crash"));
      (probe(copy, "org/kernel").state == ProbeResult::State::passed ? passed : failed) += 1;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(passed, 4);
  EXPECT_EQ(failed, 4);
}

TEST(Probe, SaysThatItIsNotInstalled) {
  SealedCopy copy = SealedCopy::make(test::fixture("good"));
  try {
    probe(copy, "org/kernel", {.program = "/nowhere/graft-probe"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::not_found);
    EXPECT_EQ(e.why(), "/nowhere/graft-probe: No such file or directory");
    EXPECT_NE(e.mend().find("probe to off"), std::string::npos);
  }
}

TEST(Probe, DoesNotBlameThePluginForAProbeThatDoesNotStart) {
  SealedCopy copy = SealedCopy::make(test::fixture("good"));
  for (const char* program : {"/bin/true", "/bin/false"}) {
    try {
      probe(copy, "org/kernel", {.program = program});
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io) << e.what();
    }
  }
}

TEST(Probe, RefusesAProbeOfAnotherVersion) {
  try {
    judge_probe("{\"hello\":\"9.9.9\"}\n{\"ok\":true}\n", {.exit_code = 0, .signal = {}}, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::internal);
  }
}

TEST(Probe, BelievesNoHalfReport) {
  const std::string hello = std::string("{\"hello\":\"") + GRAFT_VERSION + "\"}\n";
  auto judged = [&](const std::string& rest, ProcessEnd end = {.exit_code = 0, .signal = {}}) {
    ProbeResult result = judge_probe(hello + rest, end, {});
    return result.state == ProbeResult::State::passed ? "passed" : result.reason;
  };
  EXPECT_EQ(judged("{\"stage\":\"end\"}\n{\"ok\":true}\n"), "passed");
  EXPECT_EQ(judged(""), "it ended the process (exit 0)");
  EXPECT_EQ(judged("{\"ok\":true}\n{\"stage\":"), "it wrote into the probe's result");
  EXPECT_EQ(judged("{\"ok\":true}\n", {.exit_code = {}, .signal = SIGBUS}), "it crashed (SIGBUS)");
  EXPECT_EQ(judged("{\"error\":{}}\n"), "it wrote into the probe's result");
  EXPECT_EQ(judged("{\"stage\":7}\n"), "it wrote into the probe's result");
  EXPECT_EQ(judged("{\"ok\":true}\n", {.timed_out = true, .exit_code = {}, .signal = SIGKILL}),
            "it took longer than 10 s");
}

// Every 64th byte of a plugin, one bit of it turned: the preflight refuses it, or the probe does, or it does
// no harm (a byte that nothing reads). The host lives through all of them, and loads what is left.
TEST(Probe, KeepsBitFlipsFromTheHost) {
  test::TempFolder folder;
  test::ScopedEnv state("GRAFT_STATE_DIR", folder.path().c_str());
  const std::string good = test::read_file(test::fixture("good"));
  int preflight = 0, probed = 0, loaded = 0;
  for (std::size_t at = 0; at < good.size(); at += 64) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at / 64 % 8)));
    fs::path file = folder.path() / "flipped.so";
    test::write_file(file, bytes);
    try {
      check_elf(bytes, "flipped.so");
    } catch (const Error&) {
      ++preflight;
      continue;
    }
    try {
      load_plugin(SealedCopy::make(file), "flipped",
                  {.limits = {.time = milliseconds(2000), .memory = std::uint64_t{1} << 30}});
      ++loaded;
    } catch (const Error&) {
      ++probed;
    }
  }
  RecordProperty("refused_by_preflight", preflight);
  RecordProperty("refused_by_probe", probed);
  RecordProperty("loaded", loaded);
  std::printf("bit flips: %d refused by the preflight, %d by the probe or the plugin, %d loaded\n", preflight,
              probed, loaded);
  EXPECT_GT(preflight, 0);
  EXPECT_GT(probed, 0);
}

TEST(Probe, CostsMilliseconds) {
  SealedCopy copy = SealedCopy::make(test::fixture("good"));
  probe(copy, "org/kernel");
  auto begin = Clock::now();
  constexpr int kRounds = 20;
  for (int i = 0; i < kRounds; ++i) probe(copy, "org/kernel");
  double each = std::chrono::duration<double, std::milli>(Clock::now() - begin).count() / kRounds;
  std::printf("one probe: %.2f ms\n", each);
  EXPECT_LT(each, kSanitized ? 2000 : 200);
}

}  // namespace
}  // namespace graft
