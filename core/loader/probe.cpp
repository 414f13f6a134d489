#include "probe.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "graft/install.h"
#include "probe_report.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxReport = 64 << 10;  // bytes
constexpr int kLibraryFd = 3, kReportFd = 4;  // in graft-probe

[[noreturn]] void fail(const std::string& step, int error) {
  throw Error(ErrorCode::io, "graft-probe", step + ": " + std::strerror(error),
              "check free memory and descriptors, or switch the probe off in the policy");
}

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  void reset() {
    if (fd >= 0) close(std::exchange(fd, -1));
  }
};

/// Above the numbers that they get in the child, so that one dup2 there does not close the other.
void move_up(Descriptor& descriptor) {
  int moved = fcntl(descriptor.fd, F_DUPFD_CLOEXEC, 16);
  if (moved < 0) fail("no descriptor", errno);
  descriptor.reset();
  descriptor.fd = moved;
}

/// Of the environment only what finds libraries and devices: a plugin has no business with the rest.
std::vector<std::string> small_environment() {
  std::vector<std::string> kept = {"PATH=/usr/bin:/bin", "HOME=/", "LANG=C"};
  for (char** entry = environ; *entry; ++entry)
    for (std::string_view prefix : {"LD_LIBRARY_PATH=", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "ZE_"})
      if (std::string_view(*entry).starts_with(prefix)) kept.emplace_back(*entry);
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  SpawnSetup(int library, int report) {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, library, kLibraryFd);
    posix_spawn_file_actions_adddup2(&actions, report, kReportFd);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

/// A graft-probe that runs. It is killed and reaped when this goes.
class Child {
 public:
  Child(const fs::path& program, std::vector<std::string> arguments, const Descriptor& library,
        const Descriptor& report) {
    std::vector<std::string> environment = small_environment();
    SpawnSetup setup(library.fd, report.fd);
    int error = posix_spawn(&pid_, program.c_str(), &setup.actions, &setup.attributes,
                            pointers(arguments).data(), pointers(environment).data());
    if (error != 0) fail(program.string() + " cannot be started", error);
    watch_.fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  }
  Child(const Child&) = delete;
  ~Child() { reap(); }

  int watch() const { return watch_.fd; }  // readable once it has ended; -1 on kernels before 5.3

  /// Whether it has ended; it stays a zombie, so that its group's number is nobody else's.
  bool has_ended() const {
    siginfo_t info{};
    int result = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return result == 0 ? info.si_pid != 0 : errno != EINTR;
  }

  /// Ends it and all that it started, and takes it out of the table of processes.
  ProcessEnd reap() {
    ProcessEnd end;
    if (pid_ <= 0) return end;
    siginfo_t info{};
    // Where the host reaps children itself, or ignores SIGCHLD, it may be gone already, and its number
    // another's: nothing is killed then.
    bool ours = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (ours) {
      kill(-pid_, SIGKILL);
      kill(pid_, SIGKILL);
      int result;
      while ((result = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED)) != 0 && errno == EINTR) {
      }
      if (result == 0 && info.si_code == CLD_EXITED)
        end.exit_code = info.si_status;
      else if (result == 0)
        end.signal = info.si_status;
    }
    pid_ = -1;
    return end;
  }

 private:
  pid_t pid_ = -1;
  Descriptor watch_;
};

/// Takes what there is to read. False at the end of the file.
bool read_some(int fd, std::string& text) {
  char buffer[4096];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    if (got == 0) return false;
    if (got < 0 && errno != EINTR) return errno == EAGAIN;
    if (text.size() > kMaxReport) return false;
  }
}

/// Reads the report until the child has ended. False if it still runs when time is up.
bool wait_for(const Child& child, int report, std::chrono::milliseconds limit, std::string& text) {
  constexpr auto kTick = std::chrono::milliseconds(5);  // without a pidfd nothing wakes us
  const Clock::time_point deadline = Clock::now() + limit;
  bool open = true;
  for (;;) {
    bool ended = child.has_ended();  // before the last read, or what it wrote in between were lost
    if (open) open = read_some(report, text);
    if (ended || text.size() > kMaxReport) return true;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    if (child.watch() < 0) left = std::min(left, kTick);
    pollfd watched[] = {{open ? report : -1, POLLIN, 0}, {child.watch(), POLLIN, 0}};
    poll(watched, 2, static_cast<int>(std::min<std::chrono::milliseconds::rep>(left.count(), 60'000)));
  }
}

}  // namespace

ProbeResult probe(const SealedCopy& library, const std::string& name, const ProbeOptions& options) {
  const fs::path program = options.program.empty() ? find_probe() : options.program;
  if (access(program.c_str(), X_OK) != 0)
    throw Error(ErrorCode::not_found, "graft-probe", program.string() + ": " + std::strerror(errno),
                "reinstall Graft, or set probe to off in the policy");

  // A description of its own, for reading alone: a private copy's own one can write.
  Descriptor bytes(open(library.path().c_str(), O_RDONLY | O_CLOEXEC));
  if (bytes.fd < 0) fail("the library's copy cannot be opened", errno);
  move_up(bytes);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) fail("no pipe", errno);
  Descriptor report(ends[0]), writer(ends[1]);
  move_up(writer);
  fcntl(writer.fd, F_SETFL, 0);  // the probe's writes wait, ours do not

  auto seconds = std::chrono::ceil<std::chrono::seconds>(options.limits.time).count();
  Child child(program,
              {program.string(), "--library-fd", std::to_string(kLibraryFd), "--report-fd",
               std::to_string(kReportFd), "--device", options.device, "--memory",
               std::to_string(options.limits.memory), "--seconds", std::to_string(seconds), "--name", name},
              bytes, writer);
  writer.reset();

  std::string text;
  bool ended = wait_for(child, report.fd, options.limits.time, text);
  ProcessEnd end = child.reap();
  end.timed_out = !ended;
  if (text.size() > kMaxReport) {
    text.resize(text.rfind('\n', kMaxReport) + 1);
    text += "too much\n";
  }
  return judge_probe(text, end, options.limits);
}

fs::path find_probe() {
  const fs::path folder = library_folder();
  for (const char* place : {"../bin/graft-probe", "../../bin/graft-probe"})
    if (fs::path program = (folder / place).lexically_normal(); access(program.c_str(), X_OK) == 0)
      return program;
  throw Error(ErrorCode::not_found, "graft-probe", "it is not installed beside " + folder.string(),
              "reinstall Graft, or set probe to off in the policy");
}

}  // namespace graft
