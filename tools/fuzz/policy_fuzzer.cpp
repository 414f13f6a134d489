// The policy's file and the files of key signatures: what is taken is what the policy prints of itself again.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/policy.h"
#include "keys/key_signature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] % 3 == 0) {
      Policy policy = Policy::parse(text, "fuzz", {});
      if (Policy::parse(policy.json(), "fuzz", {}).json() != policy.json()) __builtin_trap();
    } else {
      KeySignatures found = data[0] % 3 == 1 ? parse_dsse(text, "{}") : parse_plain(text, "{}");
      if (found.signatures.empty()) __builtin_trap();
    }
  } catch (const Error& e) {
    if (e.code() != ErrorCode::corrupt) __builtin_trap();
  }
  return 0;
}
