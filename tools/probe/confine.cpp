#include "confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "report.h"

namespace graft::probe {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

// What the handler is told with SECCOMP_RET_TRAP, by which it knows the sentence.
enum Trap : std::uint16_t { kProcess, kSignal, kTrace, kWrite, kChange, kSocket };
constexpr const char* kWhat[] = {"start a process",
                                 "send a signal to another process",
                                 "look into another process",
                                 "open a file for writing",
                                 "change files",
                                 "open a socket"};

/// A program of the kernel's packet filter over one system call, built rule by rule.
class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);  // x32: other numbers for the same calls
    add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
#endif
  }

  void answer(long call, std::uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1);
    add(BPF_RET | BPF_K, action);
  }

  /// If one of `bits` is set in the argument, or (`set` false) none of them is.
  void answer_bits(long call, unsigned argument, std::uint32_t bits, bool set, std::uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 4);
    load(low_half(argument));
    add(BPF_JMP | BPF_JSET | BPF_K, bits, set ? 0 : 1, set ? 1 : 0);
    add(BPF_RET | BPF_K, action);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }

  /// Unless the argument is `value`.
  void answer_unless(long call, unsigned argument, std::uint32_t value, std::uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 4);
    load(low_half(argument));
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    add(BPF_RET | BPF_K, action);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }

  bool install() {
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
  }

 private:
  static std::uint32_t low_half(unsigned argument) {  // little-endian, as both CPUs are
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
  }
  void load(std::uint32_t offset) {
    add(BPF_LD | BPF_W | BPF_ABS, offset);
  }
  void add(int code, std::uint32_t k, std::uint8_t yes = 0, std::uint8_t no = 0) {
    code_.push_back({static_cast<std::uint16_t>(code), yes, no, k});
  }

  std::vector<sock_filter> code_;
};

std::uint32_t trap(Trap what) {
  return SECCOMP_RET_TRAP | what;
}

std::uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}

/// Runs in place of a call that the filter trapped.
void on_trap(int, siginfo_t* info, void* context) {
  const int what = info->si_errno;
  if (what < 0 || what > kSocket) _exit(1);
  if (what == kProcess || what == kSignal || what == kTrace) {
    report_denied(kWhat[what]);
    _exit(1);
  }
  report_refused_call(kWhat[what]);
  auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  machine->gregs[REG_RAX] = -EPERM;
#else
  machine->regs[0] = static_cast<unsigned long long>(-EPERM);
#endif
}

/// Everywhere: it is not to start processes, nor to reach into others. A driver may try and live with EPERM.
void forbid_processes(Filter& filter, bool cpu) {
  const std::uint32_t process = cpu ? trap(kProcess) : error(EPERM);
#if defined(__x86_64__)
  filter.answer(SYS_fork, process);
  filter.answer(SYS_vfork, process);
#endif
  filter.answer(SYS_execve, process);
  filter.answer(SYS_execveat, process);
  filter.answer(SYS_clone3, error(ENOSYS));  // its flags lie in memory; glibc then takes clone
  filter.answer_bits(SYS_clone, 0, CLONE_THREAD, false, process);
  const auto self = static_cast<std::uint32_t>(getpid());
  const std::uint32_t other = cpu ? trap(kSignal) : error(EPERM);
  for (long call : {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo})
    filter.answer_unless(call, 0, self, other);
  const std::uint32_t tracing = cpu ? trap(kTrace) : error(EPERM);
  for (long call : {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev}) filter.answer(call, tracing);
  for (long call : {SYS_tkill, SYS_pidfd_send_signal, SYS_setsid, SYS_setpgid, SYS_setrlimit})
    filter.answer(call, error(EPERM));
  filter.answer_bits(SYS_prlimit64, 2, ~0u, true, error(EPERM));  // reading them has no new limit
  for (long call : {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_bpf, SYS_reboot, SYS_kexec_load,
                    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_swapon, SYS_swapoff,
                    SYS_unshare, SYS_setns})
    filter.answer(call, error(EPERM));
}

/// On CPU: nor to change a file, nor to talk to anybody.
void forbid_changes(Filter& filter) {
  constexpr std::uint32_t kWriting = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
  filter.answer_bits(SYS_openat, 2, kWriting, true, trap(kWrite));
  filter.answer(SYS_openat2, error(ENOSYS));  // its flags lie in memory; callers then take openat
  for (long call : {SYS_unlinkat, SYS_renameat2, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat,
                    SYS_fchmodat, SYS_fchownat, SYS_truncate})
    filter.answer(call, trap(kChange));
#if defined(__x86_64__)
  filter.answer_bits(SYS_open, 1, kWriting, true, trap(kWrite));
  for (long call : {SYS_creat}) filter.answer(call, trap(kWrite));
  for (long call : {SYS_unlink, SYS_rmdir, SYS_rename, SYS_renameat, SYS_mkdir, SYS_mknod, SYS_link,
                    SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown})
    filter.answer(call, trap(kChange));
#endif
  filter.answer(SYS_socket, trap(kSocket));
  filter.answer(SYS_io_uring_setup, error(ENOSYS));
}

bool filter_calls(bool cpu) {
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSYS, &action, nullptr);
  Filter filter;
  forbid_processes(filter, cpu);
  if (cpu) forbid_changes(filter);
  return filter.install();
}

void limit(decltype(RLIMIT_CORE) resource, std::uint64_t most) {
  rlimit value{};
  getrlimit(resource, &value);
  value.rlim_cur = value.rlim_max = std::min<rlim_t>(most, value.rlim_max);
  if (setrlimit(resource, &value) != 0)
    report_note(std::string("a limit could not be set: ") + std::strerror(errno));
}

std::uint64_t address_space_in_use() {
  std::uint64_t pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void close_others(const Confinement& limits) {
#ifdef SYS_close_range
  int low = std::min(limits.library_fd, limits.report_fd),
      high = std::max(limits.library_fd, limits.report_fd);
  auto close_between = [](int first, unsigned last) {
    if (first >= 0 && static_cast<unsigned>(first) <= last)
      syscall(SYS_close_range, static_cast<unsigned>(first), last, 0);
  };
  close_between(3, static_cast<unsigned>(low - 1));
  close_between(low + 1, static_cast<unsigned>(high - 1));
  close_between(high + 1, ~0u);
#endif
}

}  // namespace

void confine(const Confinement& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (limits.library_fd > 2 && limits.report_fd > 2) close_others(limits);
  if (chdir("/") != 0) report_note("its working folder stayed what it was");
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.seconds + 1);
  if (limits.cpu) {
    if (limits.report_fd > 2) limit(RLIMIT_FSIZE, 0);  // by hand, the report may go into a file
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (limits.memory) limit(RLIMIT_AS, address_space_in_use() + limits.memory);
#endif
  }
  // The filter comes last: it lets nobody change limits.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls(limits.cpu)) return;
  report_note(std::string("without seccomp: ") + std::strerror(errno));
  if (limits.cpu) limit(RLIMIT_NPROC, 0);
}

}  // namespace graft::probe
