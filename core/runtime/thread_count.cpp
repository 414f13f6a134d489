#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "graft/thread_pool.h"

namespace graft {
namespace {

constexpr int kMostThreads = 1024;

int affinity_count() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(CPU_COUNT(&set), 1) : 1;
}

/// CPUs that cgroup v2 grants this process: the least along the path to the root. 0: no limit.
/// Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max: "quota period" in µs, or "max period".
int cgroup_count() {
  std::filesystem::path root = "/sys/fs/cgroup";
  std::ifstream self("/proc/self/cgroup");
  int least = 0;
  for (std::string line; std::getline(self, line);) {
    if (!line.starts_with("0::/")) continue;
    std::filesystem::path group = line.substr(4);
    for (;;) {
      std::ifstream limit(root / group / "cpu.max");
      double quota = 0, period = 0;
      if (limit >> quota >> period && quota > 0 && period > 0) {
        int cpus = std::max(1, static_cast<int>(std::ceil(quota / period)));
        least = least ? std::min(least, cpus) : cpus;
      }
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
  return least;
}

}  // namespace

int default_thread_count() {
  if (const char* text = std::getenv("GRAFT_NUM_THREADS")) {
    std::string_view set = text;
    int threads = 0;
    auto [end, error] = std::from_chars(set.data(), set.data() + set.size(), threads);
    if (error == std::errc() && end == set.data() + set.size() && threads >= 1)
      return std::min(threads, kMostThreads);
  }
  int cpus = affinity_count(), granted = cgroup_count();
  return granted ? std::min(cpus, granted) : cpus;
}

}  // namespace graft
