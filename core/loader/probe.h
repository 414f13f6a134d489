// The probe: a plugin's first load, in a process of its own. It contains accidents; malice it does not.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "graft/error.h"
#include "sealed_copy.h"

namespace graft {

/// What a plugin may use while it is tried.
struct ProbeLimits {
  std::chrono::milliseconds time{10'000};
  std::uint64_t memory = std::uint64_t{4} << 30;  // bytes of address space beside graft-probe's own; CPU only

  bool operator==(const ProbeLimits&) const = default;
};

struct ProbeOptions {
  std::string device = "cpu";
  ProbeLimits limits = {};
  std::filesystem::path program = {};  // empty: graft-probe beside this library, see find_probe()
};

struct ProbeResult {
  enum class State {
    passed,
    refused,  // the plugin said no in an orderly way: `error`
    failed    // it crashed, hung, ended the process …: `reason`
  };
  State state = State::failed;
  std::string reason;              // a clause: "its constructor crashed (SIGSEGV)"
  std::optional<Error> error;      // as open_plugin() would have thrown it
  std::vector<std::string> notes;  // what else happened: "it was not let open a file for writing"
};

/// Executes graft-probe on the bytes of `library`, which passed check_elf, and waits for it, for as long as
/// the limit says and no longer. On CPU: link, init, entries, and for each entry with a standard contract
/// one call on small tensors; on other devices link, init and entries. What the probe does is written at the
/// top of tools/probe/main.cpp. Leaves no process and no descriptor behind, and the host's handler of SIGCHLD
/// alone; a host that reaps children it does not know costs no more than the exit code in `reason`.
/// Any thread. Throws Error: not_found (no graft-probe), io (it cannot be started), internal (it is of
/// another version).
ProbeResult probe(const SealedCopy& library, const std::string& name, const ProbeOptions& options = {});

}  // namespace graft
