// Memory against rollback: the versions of each repo that have run here.
#pragma once

#include <filesystem>
#include <string>

#include "graft/trust.h"

namespace graft {

/// What was asked for and what it came to.
struct SeenVersion {
  std::string endpoint;  // of the Hub: another Hub's repo of the same name is another one
  std::string repo;      // "org/name"
  std::string asked;     // the reference's revision: "", ">=1.0,<2.0", "v1.2.0", "main"
  std::string revision;  // the tag or branch that it resolved to: "v1.2.0"
  std::string commit;    // 40 hex digits
};

/// In a file for each repo below `folder` (the user's state folder), written whole or not at all; several processes may
/// write at once. A folder that cannot be written remembers nothing, which is no error.
class SeenVersions {
 public:
  /// `folder`: state_folder() of quarantine.h; empty: nothing is remembered.
  explicit SeenVersions(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Throws Error(untrusted), with decision.rule set, if a higher version was seen for the same `asked` (a range, or
  /// none), or another commit under the same tag. Throws Error(corrupt) for a file that is none: a memory that was
  /// tampered with is not passed over.
  void check(const SeenVersion& now, TrustDecision& decision) const;

  /// From now on, `now` is what was seen; also where it is lower: after check(), or because the user accepts it.
  void remember(const SeenVersion& now) const;

 private:
  std::filesystem::path file_of(const SeenVersion& version) const;
  std::filesystem::path folder_;
};

}  // namespace graft
