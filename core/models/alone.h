// Alone: torch's operators on the calling thread alone, between kernels.
#pragma once

namespace graft {

/// While it lives, what torch computes on this thread starts no others. For the little that stands between layers with kernels: a
/// thread of OpenMP that has worked for a moment then waits for some 10 ms without sleeping (GOMP_SPINCOUNT), on a core that the
/// kernels' threads want. Prefill of 512 tokens took a quarter longer so, while all of these operators together are 1 % of it.
class Alone {
 public:
  /// `wanted`: false leaves torch as it is, for layers that torch computes.
  explicit Alone(bool wanted);
  ~Alone();
  Alone(const Alone&) = delete;

 private:
  int threads_ = 0;  // that were allowed before; 0: unchanged
};

}  // namespace graft
