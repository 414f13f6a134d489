// LockFile: which commit each reference comes to, and which bytes its variants are.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graft/kernel_ref.h"

namespace graft {

/// What is empty is not held against anything.
struct LockedVariant {
  std::string metadata = {};        // "sha256:<hex>" of metadata.json
  std::string digest = {};          // "sha256:<hex>" of the library
  std::string signer = {};          // of metadata.json, as TrustDecision names it
  std::string git_lfs_concat = {};  // of older kernels.lock files: "sha256-<hex>" over the variant's paths and Git's hashes
};

struct LockedKernel {
  std::string repo;                      // "org/name"
  std::string asked;                     // as in the reference: "", ">=1.0,<2.0", "v1.2.0", "2"
  std::string revision;                  // what it came to: "v1.2.0"
  std::string commit;                    // 40 hex digits
  std::vector<std::string> depends = {};  // references of what it cannot do without: "org/other@2"
  std::map<std::string, LockedVariant> variants = {};  // by name; none: any variant of the commit will do
};

/// Two files say it. kernels.lock is HF kernels': [{"dependency": {"repo-id", "version" or "revision"}, "lock": {"commit"}}].
/// graft.lock beside it has variants, digests and signers too. A value; const functions from any thread.
struct LockFile {
  std::vector<LockedKernel> kernels;  // what was asked for, then what that depends on

  /// graft.lock, kernels.lock of HF kernels 0.17, or of older ones ([{"repo_id", "sha", "variants": {name: {"hash"}}}]).
  /// Throws Error(corrupt) naming `source` and the field, Error(unsupported) for a graft.lock of a newer Graft.
  static LockFile parse(std::string_view text, const std::string& source);

  /// parse() of a file. Throws Error(not_found), Error(io) too.
  static LockFile read(const std::filesystem::path& file);

  /// The two files' texts. In HF's form, what was asked for as a range or not at all is locked as the revision that it
  /// came to.
  std::string graft_lock() const;
  std::string kernels_lock() const;

  /// The one for a reference: of the same repo and revision, or the repo's first if the reference has no revision; null
  /// if the repo is not locked. Throws Error(revision_not_found) if the repo is locked for other revisions alone.
  const LockedKernel* find(const KernelRef& ref) const;

  /// The one that was asked for in just this way; null if there is none. Of an older kernels.lock, the repo's.
  const LockedKernel* find_exact(const std::string& repo, const std::string& asked) const;
};

}  // namespace graft
