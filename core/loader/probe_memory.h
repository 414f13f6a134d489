// Which digests passed their probe on this machine, with this version of Graft.
#pragma once

#include <string>

namespace graft {

/// One stat(). False too where the state folder cannot be read.
bool has_passed_probe(const std::string& digest);

/// Where the state folder cannot be written, it is logged (debug), and the next process probes again.
void remember_passed_probe(const std::string& digest);

/// Held while a digest is probed, so that processes that load it at once probe it once. Waits for the one
/// that holds it, which a probe's time limit bounds. Where the state folder cannot be written, nothing is
/// held.
class ProbeLock {
 public:
  explicit ProbeLock(const std::string& digest);
  ~ProbeLock();
  ProbeLock(const ProbeLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace graft
