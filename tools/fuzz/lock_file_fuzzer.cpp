// LockFile::parse: what is accepted holds names, commits and digests of the right form, and prints as text that is read again.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/hub.h"
#include "graft/lock_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  graft::LockFile lock;
  try {
    lock = graft::LockFile::parse({reinterpret_cast<const char*>(data), size}, "graft.lock");
  } catch (const graft::Error& e) {
    bool expected = e.code() == graft::ErrorCode::corrupt || e.code() == graft::ErrorCode::unsupported;
    if (!expected) __builtin_trap();
    return 0;
  }
  for (const graft::LockedKernel& kernel : lock.kernels) {
    graft::check_repo_name(kernel.repo);
    if (!graft::is_commit(kernel.commit) || !lock.find_exact(kernel.repo, kernel.asked)) __builtin_trap();
  }
  const std::string text = lock.graft_lock();
  if (graft::LockFile::parse(text, "graft.lock").graft_lock() != text) __builtin_trap();
  graft::LockFile::parse(lock.kernels_lock(), "kernels.lock");
  return 0;
}
