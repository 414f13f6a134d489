// Where Graft's own files are: beside the library that this function is in.
#pragma once

#include <filesystem>

namespace graft {

/// The folder of libgraft_runtime.so, links resolved. Throws Error(io) if the linker does not know.
std::filesystem::path library_folder();

/// The Hub that comes with Graft: GRAFT_HUB if set, else ../hub (a build folder) or ../share/graft/hub
/// (installed) beside the library's folder, else share/graft/hub one folder further up
/// (lib/x86_64-linux-gnu). Empty if there is none.
/// Throws Error(not_found) if GRAFT_HUB names no folder.
std::filesystem::path find_embedded_hub();

/// The program that tries a plugin first (see probe of Policy): graft-probe in bin/ beside the library's folder. Throws
/// Error(not_found).
std::filesystem::path find_probe();

}  // namespace graft
