// KernelRef::parse, AttentionRef::parse and LOCAL_KERNELS: whatever is accepted prints as text that is read as the same again.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/kernel_ref.h"
#include "local_overrides.h"

namespace {

template <class Work>
void expect_invalid_argument(Work&& work) try {
  work();
} catch (const graft::Error& e) {
  if (e.code() != graft::ErrorCode::invalid_argument) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  expect_invalid_argument([&] {
    graft::KernelRef ref = graft::KernelRef::parse(text);
    if (graft::KernelRef::parse(ref.str()) != ref) __builtin_trap();
    if (ref.is_local() != ref.repo.empty()) __builtin_trap();
  });
  expect_invalid_argument([&] {
    graft::AttentionRef ref = graft::AttentionRef::parse(text);
    if (graft::AttentionRef::parse(ref.str()) != ref || ref.kernel.is_local()) __builtin_trap();
  });
  expect_invalid_argument([&] { graft::LocalOverrides::parse(text); });
  return 0;
}
