// Sizes and ages as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace graft {

/// "10GB", "1.5 GiB", "500kB", "0B": decimal (kB, MB, GB, TB) and binary (KiB, MiB, GiB, TiB) units; case
/// matters in neither. Throws Error(invalid_argument) for anything else, a number without a unit too.
std::uint64_t parse_size(std::string_view text);

/// "30d", "12h", "90min", "45s", "2w". Throws Error(invalid_argument) for anything else.
std::chrono::seconds parse_age(std::string_view text);

/// "1.2 GB", "345 kB", "12 B": decimal, as huggingface_hub's.
std::string in_bytes(std::uint64_t bytes);

/// "just now", "5 minutes ago", "2 days ago", "3 months ago".
std::string how_long_ago(std::chrono::system_clock::time_point time,
                         std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

/// "2026-05-04T12:30:00Z".
std::string iso_time(std::chrono::system_clock::time_point time);

}  // namespace graft
