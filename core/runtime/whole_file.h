// Small files read and written whole.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace graft {

/// Its bytes; "" if it cannot be read.
std::string read_whole(const std::filesystem::path& file);

/// Whole or not at all: written beside, then renamed; folders above it are made. Throws Error(io).
void write_whole(const std::filesystem::path& file, std::string_view text);

}  // namespace graft
