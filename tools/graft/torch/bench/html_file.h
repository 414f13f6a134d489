// The file that --html names: whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace graft::bench {

/// Throws Error(io) if it could not be written later: said before the work, not after it.
void check_html_file(const std::filesystem::path& file);

/// Throws Error(io); then a file of that name is as it was.
void write_html_file(const std::filesystem::path& file, std::string_view page);

}  // namespace graft::bench
