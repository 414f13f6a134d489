// parse_metadata: what a stranger's metadata.json may hold. Accepted paths stay inside the variant.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/hub.h"
#include "graft/metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  graft::Metadata metadata;
  try {
    metadata = graft::parse_metadata({reinterpret_cast<const char*>(data), size});
  } catch (const graft::Error& e) {
    bool expected = e.code() == graft::ErrorCode::corrupt || e.code() == graft::ErrorCode::unsupported;
    if (!expected) __builtin_trap();
    return 0;
  }
  for (const auto& [path, hash] : metadata.files) graft::check_inside(path);
  if (metadata.algorithm.empty() && !metadata.files.empty()) __builtin_trap();
  return 0;
}
