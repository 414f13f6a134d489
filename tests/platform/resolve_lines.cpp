// Answers for tests/interop/test_variants.py: reads lines {"host": …, "device": …, "listing": […]}, writes for each the
// accepted variants in order of preference, as a JSON list.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "graft/variant.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    auto asked = nlohmann::json::parse(line);
    auto choice = graft::resolve_variant(asked["listing"].get<std::vector<std::string>>(),
                                         graft::HostPlatform::from_json(asked["host"].dump()), asked["device"].get<std::string>());
    auto accepted = nlohmann::json::array();
    for (const graft::VariantTrace& variant : choice.trace)
      if (variant.accepted) accepted.push_back(variant.name);
    std::cout << accepted.dump() << "\n";
  }
}
