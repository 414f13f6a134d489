// What is known of kernels' results on this machine, so that each is looked at once.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace graft {

/// In a file for each digest below `folder` (state_folder() of quarantine.h; empty: nothing is remembered), written whole or
/// not at all; several processes may write at once, and the last one's word stays. A file that does not parse counts as
/// missing: the kernel is looked at again.
class SelfChecks {
 public:
  explicit SelfChecks(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// "" for right results, why they are wrong, or nothing if `what` ("RMSNorm RMSNorm/1 cpu float32") was not looked at.
  /// `digest`: "sha256:<hex>" of the library.
  std::optional<std::string> find(const std::string& digest, const std::string& what) const;

  void remember(const std::string& digest, const std::string& what, const std::string& complaint) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace graft
