// check_elf: the bytes of a stranger's library, before the dynamic linker sees them.
#include <cstddef>
#include <cstdint>

#include "elf_check.h"
#include "graft/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (graft::ElfFamily family : {graft::ElfFamily::graft, graft::ElfFamily::other}) {
    try {
      graft::check_elf({reinterpret_cast<const char*>(data), size}, "fuzzed.so", {.family = family});
    } catch (const graft::Error& e) {
      if (e.code() == graft::ErrorCode::internal) __builtin_trap();
    }
  }
  return 0;
}
