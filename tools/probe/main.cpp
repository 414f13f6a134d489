// graft-probe: a plugin's first load on a machine, in a process that may die of it. Graft's loader executes
// it (core/loader/probe.h) with the bytes it checked as a descriptor; by hand: graft-probe FILE.
//
// confine itself → link (constructors) → init → entries → on CPU: one call of each entry → deinit and
// destructors. Each step is reported before it begins, so that whoever waits knows where it ended.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include "confine.h"
#include "graft/error.h"
#include "memory_watch.h"
#include "open_plugin.h"
#include "report.h"
#include "try_entry.h"

// A crash is to be seen as the signal that it is.
#if defined(__SANITIZE_ADDRESS__)
extern "C" const char* __asan_default_options() {
  return "detect_leaks=0:handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:abort_"
         "on_error=1";
}
#elif defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options() {
  return "handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0";
}
#endif

namespace graft::probe {
namespace {

constexpr int kWrongUsage = 2;

struct Options {
  std::string path, name, device = "cpu";
  Confinement limits;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  options.limits.memory = std::uint64_t{4} << 30;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (!word.starts_with("--")) {
      options.path = std::filesystem::absolute(word).string();
      continue;
    }
    if (i + 1 == argc) return std::nullopt;
    const char* value = argv[++i];
    if (word == "--library-fd")
      options.limits.library_fd = std::atoi(value);
    else if (word == "--report-fd")
      options.limits.report_fd = std::atoi(value);
    else if (word == "--device")
      options.device = value;
    else if (word == "--memory")
      options.limits.memory = std::strtoull(value, nullptr, 10);
    else if (word == "--seconds")
      options.limits.seconds = std::strtoull(value, nullptr, 10);
    else if (word == "--name")
      options.name = value;
    else
      return std::nullopt;
  }
  if (options.limits.library_fd >= 0)
    options.path = "/proc/self/fd/" + std::to_string(options.limits.library_fd);
  if (options.path.empty()) return std::nullopt;
  if (options.name.empty()) options.name = options.path;
  options.limits.cpu = options.device == "cpu";
  return options;
}

[[noreturn]] void run(const Options& options) {
  if (options.limits.report_fd >= 0) report_to(options.limits.report_fd);
  report_hello();
  confine(options.limits);
  if (options.limits.cpu) watch_memory();
  try {
    OpenedPlugin opened =
        open_plugin(options.path, options.name, [](const char* step) { report_stage(step); });
    if (options.limits.cpu)
      for (const graft_entry* entry : opened.entries) try_entry(*entry);
    report_stage("end");
    report_ok();
  } catch (const Error& e) {
    report_error(e);
    _Exit(0);  // what it has done so far is no reason to run its destructors
  } catch (const std::exception& e) {
    report_error({ErrorCode::plugin, "plugin " + options.name, e.what(), ""});
    _Exit(0);
  }
  std::exit(0);  // deinit and destructors run
}

}  // namespace
}  // namespace graft::probe

int main(int argc, char** argv) {
  std::optional<graft::probe::Options> options = graft::probe::parse(argc, argv);
  if (options) graft::probe::run(*options);
  std::fprintf(stderr,
               "graft-probe: loads a plugin under limits and says, in lines of JSON, how far it came.\n"
               "Usage: graft-probe FILE [--device cpu|cuda|…] [--memory BYTES] [--seconds N] [--name NAME]\n"
               "Example:\n  graft-probe build/graft1-cpu-x86_64-linux/norm.so\n");
  return graft::probe::kWrongUsage;
}
