// lock_kernels: from references to a lock file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "graft/lock_file.h"
#include "graft/runtime.h"

namespace graft {

struct Locked {
  LockFile file;
  std::vector<std::string> warnings;  // variants that are left out because the policy would never let them in
};

/// Locks `wanted` and, transitively, what their metadata.json says they depend on: the commit, and of every variant the
/// SHA-256 of metadata.json and library and who signed it. Fetches each variant's metadata.json and signatures alone. What
/// `kept` has stays at its commit, the rest is resolved anew; the Runtime's own lock file and LOCAL_KERNELS have no part in
/// it. Of `options`, allow_all_kernels, policy and stop are used. Throws Error, as Runtime::load, for what cannot be
/// resolved, found or trusted, for a dependency that comes back to itself, and for one that asks for newer HF kernels; the
/// message names the way there. Any thread.
Locked lock_kernels(Runtime& runtime, const std::vector<KernelRef>& wanted, const LockFile& kept = {}, const LoadOptions& options = {});

/// What was asked for, without what is there as a dependency alone.
std::vector<KernelRef> wanted_of(const LockFile& lock);

/// A line for each difference, for people; none if both say the same. Signers are not compared: they are how the policy of
/// whoever locks names them.
std::vector<std::string> differences(const LockFile& before, const LockFile& now);

/// Fetches a locked kernel's variant for options.device and this machine (or options.host), or all of its variants, and holds
/// them against the lock: from then on it is found offline. Returns the folder of the commit and, in `files`, what was fetched.
/// Throws Error, as Runtime::load; unsupported if no variant fits, untrusted if the bytes are others than locked.
std::filesystem::path fetch_locked(Runtime& runtime, const LockedKernel& locked, bool all_variants, std::vector<HubFile>& files,
                                   const LoadOptions& options = {}, const FetchOptions& fetching = {});

/// The lock files of a folder: graft.lock, else kernels.lock; nullopt if there is neither. Throws Error, as LockFile::read.
std::optional<LockFile> read_lock(const std::filesystem::path& folder);

/// Writes graft.lock and kernels.lock into the folder, each whole or not at all. Throws Error(io).
void write_lock(const std::filesystem::path& folder, const LockFile& lock);

}  // namespace graft
