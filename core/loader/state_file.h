// Small files in the state folder, written whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace graft {

/// Makes the folders above `file` (mode 0700) and the file (0600) with `text`, under a name of its own that
/// is renamed in the end. False, with errno set, if that cannot be done.
bool write_state_file(const std::filesystem::path& file, std::string_view text);

/// The folder, made with mode 0700 if it is missing. False if it cannot be.
bool make_state_folder(const std::filesystem::path& folder);

/// The 64 hex digits of "sha256:<hex>", in lower case as file names have them; empty for anything else.
std::string_view hex_of(std::string_view digest);

}  // namespace graft
