// --host FILE: another machine than this one, as graft doctor --host printed it there.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "graft/host_platform.h"

namespace graft {

inline void add_host_option(CLI::App& command, std::string& file) {
  command.add_option("--host", file, "a host description (graft doctor --host) to resolve for instead of this machine")->check(CLI::ExistingFile);
}

/// The description in `file`; nothing for "". Throws Error(invalid_argument) naming the field that is off.
std::optional<HostPlatform> read_host_option(const std::string& file);

}  // namespace graft
