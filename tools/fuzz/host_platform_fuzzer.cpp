// HostPlatform::from_json, and variants resolved for it: the first line is the description, the others a listing.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "graft/error.h"
#include "graft/variant.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> lines(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n')
      lines.emplace_back();
    else
      lines.back() += static_cast<char>(data[i]);
  }
  graft::HostPlatform host{.os = "linux", .cpu = "x86_64"};
  try {
    host = graft::HostPlatform::from_json(lines[0]);
    if (graft::HostPlatform::from_json(host.to_json()).to_json() != host.to_json()) __builtin_trap();
  } catch (const graft::Error& e) {
    if (e.code() != graft::ErrorCode::invalid_argument) __builtin_trap();
  }
  lines.erase(lines.begin());
  for (const char* device : {"cpu", "cuda", "rocm", "metal", "xpu", "npu"}) {
    graft::VariantChoice choice = graft::resolve_variant(lines, host, device);
    if (choice.chosen.empty() != (choice.trace.empty() || !choice.trace[0].accepted)) __builtin_trap();
    for (const graft::VariantTrace& variant : choice.trace)
      if (variant.reason.empty()) __builtin_trap();
  }
  return 0;
}
