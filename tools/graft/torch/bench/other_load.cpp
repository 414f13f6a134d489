#include "other_load.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace graft::bench {
namespace {

constexpr double kShortest = 0.1;  // seconds: the system counts in ticks of 10 ms

cpu_set_t allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return set;
}

double seconds(const timeval& time) {
  return double(time.tv_sec) + double(time.tv_usec) * 1e-6;
}

}  // namespace

OtherLoad::OtherLoad() : before_(now()), start_(std::chrono::steady_clock::now()) {}

// Source: proc_stat(5): "cpu3 user nice system idle iowait irq softirq steal …", in ticks; what is stolen by
// a virtual machine's host counts as busy.
std::optional<OtherLoad::Clocks> OtherLoad::now() {
  const cpu_set_t allowed = allowed_processors();
  std::ifstream stat("/proc/stat");
  if (!stat) return std::nullopt;
  Clocks clocks;
  for (std::string line; std::getline(stat, line);) {
    int processor = 0;
    double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
    if (!line.starts_with("cpu") || line.starts_with("cpu ")) continue;
    std::istringstream(line.substr(3)) >> processor >> user >> nice >> system >> idle >> iowait >> irq >>
        softirq >> steal;
    if (processor >= CPU_SETSIZE || !CPU_ISSET(processor, &allowed)) continue;
    clocks.busy += (user + nice + system + irq + softirq + steal) / double(sysconf(_SC_CLK_TCK));
  }
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    clocks.own += seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  return clocks;
}

double OtherLoad::share() const {
  const std::optional<Clocks> after = now();
  const cpu_set_t allowed = allowed_processors();
  const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (!before_ || !after || passed < kShortest) return 0;
  const double others = (after->busy - before_->busy) - (after->own - before_->own);
  return std::clamp(others / (passed * std::max(CPU_COUNT(&allowed), 1)), 0.0, 1.0);
}

}  // namespace graft::bench
