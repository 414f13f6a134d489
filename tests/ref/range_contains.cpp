// Answers for tests/interop/test_version_ranges.py: reads lines "RANGE<tab>VERSION", writes "1" or "0" for each, "?" for what
// Graft does not read as a range and a version.
#include <iostream>
#include <string>

#include "graft/error.h"
#include "graft/version.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::size_t tab = line.find('\t');
    auto version = graft::Version::parse(line.substr(tab + 1));
    try {
      auto range = graft::VersionRange::parse(line.substr(0, tab));
      std::cout << (!version ? "?" : range.contains(*version) ? "1" : "0") << "\n";
    } catch (const graft::Error&) {
      std::cout << "?\n";
    }
  }
}
