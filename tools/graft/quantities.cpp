#include "quantities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

#include "graft/error.h"

namespace graft {
namespace {

/// A number and what follows it, in lower case; a number of -1 if there is none.
std::pair<double, std::string> split(std::string_view text) {
  double number = -1;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || text.starts_with('-')) return {-1, ""};
  std::string unit(end, text.data() + text.size());
  if (unit.starts_with(' ')) unit.erase(0, 1);
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return {number, unit};
}

}  // namespace

std::uint64_t parse_size(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 9> kUnits{{{"b", 1},
                                                                       {"kb", 1e3},
                                                                       {"mb", 1e6},
                                                                       {"gb", 1e9},
                                                                       {"tb", 1e12},
                                                                       {"kib", 0x1p10},
                                                                       {"mib", 0x1p20},
                                                                       {"gib", 0x1p30},
                                                                       {"tib", 0x1p40}}};
  const auto [number, unit] = split(text);
  for (const auto& [name, bytes] : kUnits)
    if (number >= 0 && unit == name && number * bytes < 0x1p63)
      return static_cast<std::uint64_t>(std::llround(number * bytes));
  throw Error(ErrorCode::invalid_argument, "size \"" + std::string(text) + "\"", "is none",
              "write a number and B, kB, MB, GB, TB (of 1000) or KiB, MiB, GiB, TiB (of 1024), as in 10GB");
}

std::chrono::seconds parse_age(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 5> kUnits{
      {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}}};
  const auto [number, unit] = split(text);
  for (const auto& [name, seconds] : kUnits)
    if (number >= 0 && unit == name && number * seconds < 1e10)
      return std::chrono::seconds(std::llround(number * seconds));
  throw Error(ErrorCode::invalid_argument, "age \"" + std::string(text) + "\"", "is none",
              "write a number and s, min, h, d or w, as in 30d");
}

std::string in_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  for (const char* unit : {"kB", "MB", "GB"})
    if ((value /= 1000) < 999.5) return fmt::format("{:.{}f} {}", value, value < 9.95 ? 1 : 0, unit);
  return fmt::format("{:.1f} TB", value / 1000);
}

std::string how_long_ago(std::chrono::system_clock::time_point time,
                         std::chrono::system_clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - time).count();
  constexpr std::array<std::pair<const char*, double>, 6> kUnits{{{"year", 365.25 * 86400},
                                                                  {"month", 30.44 * 86400},
                                                                  {"week", 7 * 86400},
                                                                  {"day", 86400},
                                                                  {"hour", 3600},
                                                                  {"minute", 60}}};
  for (const auto& [unit, length] : kUnits)
    if (seconds >= length) {
      const int count = static_cast<int>(seconds / length);
      return fmt::format("{} {}{} ago", count, unit, count == 1 ? "" : "s");
    }
  return "just now";
}

std::string iso_time(std::chrono::system_clock::time_point time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

}  // namespace graft
