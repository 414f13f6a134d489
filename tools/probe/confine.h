// The limits that graft-probe puts on itself before it loads a plugin.
#pragma once

#include <cstdint>

namespace graft::probe {

struct Confinement {
  bool cpu = true;             // else a device's driver is at work: it maps, opens and starts what it wants
  std::uint64_t memory = 0;    // bytes beside what is in use now; CPU only; 0: no limit
  std::uint64_t seconds = 10;  // of processor time
  int library_fd = -1, report_fd = -1;  // these stay open, all others from 3 on are closed
};

/// Working folder /, no core file, limits on time, memory and files, dies with its parent, gains no
/// privileges, and a seccomp filter: starting processes and signals to others end the plugin; on CPU, files
/// opened to be written, changes to the file system and sockets are refused with EPERM and noted. Where the
/// kernel has no seccomp, that is noted and the rest holds.
void confine(const Confinement& limits);

}  // namespace graft::probe
