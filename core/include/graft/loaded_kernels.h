// Which processes on this machine have which kernels loaded.
#pragma once

#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft {

struct LoadedKernel {
  RepoId repo;          // where it was found
  std::string commit;   // 40 hex digits
  std::string digest;   // "sha256:<hex>" of the library
  int pid = 0;          // as that process sees itself: in a container, another than outside
  std::string program;  // "graft"
  std::string machine;  // where it runs; homes are shared between machines
};

/// The kernels of repos that this user's processes have loaded now, as far as they share the state folder
/// (see quarantine.h): a library is loaded from memory, so that its file says nothing. A process that was
/// killed is not listed. Kernels from a path are not. Any thread; nothing is thrown: what cannot be read is
/// left out.
std::vector<LoadedKernel> loaded_kernels();

}  // namespace graft
