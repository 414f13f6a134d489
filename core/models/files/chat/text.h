// Python's string methods, on UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft::jinja {

enum class Sides { left, right, both };

/// str.strip and its kin: white space, or any of the characters in `*which` if it is not null.
std::string strip(const std::string& text, Sides sides, const std::string* which);

/// str.split: at runs of white space if `separator` is null; at most `limit` times if that is not negative.
/// Throws Failure: misuse for an empty separator.
std::vector<std::string> split(const std::string& text, const std::string* separator, std::int64_t limit);

std::string replace(const std::string& text, const std::string& from, const std::string& to,
                    std::int64_t limit);

/// Throw Failure: unsupported for letters outside ASCII, whose case can change their number.
std::string upper(const std::string& text);
std::string lower(const std::string& text);
std::string title(const std::string& text);
std::string capitalize(const std::string& text);

}  // namespace graft::jinja
