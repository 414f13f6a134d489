// KernelRef::parse: whatever is accepted prints as text that is read as the same reference.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/kernel_ref.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    graft::KernelRef ref = graft::KernelRef::parse({reinterpret_cast<const char*>(data), size});
    if (graft::KernelRef::parse(ref.str()) != ref) __builtin_trap();
    if (ref.is_local() != ref.repo.empty()) __builtin_trap();
  } catch (const graft::Error& e) {
    if (e.code() != graft::ErrorCode::invalid_argument) __builtin_trap();
  }
  return 0;
}
