#include "host_option.h"

#include <fstream>
#include <iterator>

namespace graft {

std::optional<HostPlatform> read_host_option(const std::string& file) {
  if (file.empty()) return std::nullopt;
  std::ifstream in(file);
  return HostPlatform::from_json(std::string(std::istreambuf_iterator<char>(in), {}));
}

}  // namespace graft
