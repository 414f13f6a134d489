// Versions and ranges: a line break parts a range from two versions; ordering must be consistent.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "graft/error.h"
#include "graft/version.h"

using graft::Version;
using graft::VersionRange;

namespace {

std::string_view take_line(std::string_view& text) {
  std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view range_text = take_line(text);
  auto a = Version::parse(take_line(text)), b = Version::parse(text);
  if (a && b) {
    if ((*a < *b) != (*b > *a) || (*a == *b) != (*b == *a)) __builtin_trap();
    if (*a != *a) __builtin_trap();
  }
  try {
    VersionRange range = VersionRange::parse(range_text);
    // Equal versions are in the same ranges.
    if (a && b && *a == *b && range.contains(*a) != range.contains(*b)) __builtin_trap();
  } catch (const graft::Error& e) {
    if (e.code() != graft::ErrorCode::invalid_argument) __builtin_trap();
  }
  return 0;
}
