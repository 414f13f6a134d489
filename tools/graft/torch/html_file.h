// The file that --html and --report name: whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace graft {

/// Throws Error(io) if it could not be written later: said before the work, not after it. `option`: the one that named it,
/// "--html", for the message.
void check_html_file(std::string_view option, const std::filesystem::path& file);

/// Throws Error(io); then a file of that name is as it was.
void write_html_file(std::string_view option, const std::filesystem::path& file, std::string_view page);

}  // namespace graft
