// The record that a process keeps of the kernels that it has loaded, for loaded_kernels().
#pragma once

#include <string>

#include "graft/hub.h"

namespace graft {

/// Notes that this process has it loaded, until the process ends, however it ends. Once for each commit and
/// digest. Where the state folder cannot be written, it is logged (debug), and nobody knows. Any thread.
void note_loaded(const RepoId& repo, const std::string& commit, const std::string& digest);

}  // namespace graft
