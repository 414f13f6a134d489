#include <algorithm>
#include <array>
#include <sstream>

#include "graft/host_platform.h"

namespace graft {
namespace {

bool has_all(const std::vector<std::string>& features, std::string_view needed) {
  std::istringstream names{std::string(needed)};
  for (std::string name; names >> name;)
    if (!std::binary_search(features.begin(), features.end(), name)) return false;
  return true;
}

}  // namespace

std::string x86_64_level(const std::vector<std::string>& features) {
  // In /proc/cpuinfo's words: pni is SSE3, abm is LZCNT.
  constexpr std::array<std::string_view, 3> kAdded = {
      "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
      "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
      "avx512f avx512bw avx512cd avx512dq avx512vl",
  };
  int level = 1;
  for (std::string_view added : kAdded) {
    if (!has_all(features, added)) break;
    ++level;
  }
  return "x86_64_v" + std::to_string(level);
}

std::vector<std::string> parse_cpuinfo(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::vector<std::string> features;
  for (std::string line; std::getline(lines, line) && features.empty();) {
    // x86 says "flags", arm64 "Features".
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    std::istringstream names(line.substr(colon + 1));
    for (std::string name; names >> name;) features.push_back(name);
  }
  std::sort(features.begin(), features.end());
  return features;
}

std::string HostPlatform::missing_cpu_feature(const char* needed) const {
  std::istringstream names(needed ? needed : "");
  for (std::string name; names >> name;)
    if (!std::binary_search(cpu_features.begin(), cpu_features.end(), name)) return name;
  return {};
}

}  // namespace graft
