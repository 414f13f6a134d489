// Alone: torch's operators on the calling thread alone, between kernels.
#pragma once

// OpenMP's, which comes with LibTorch. Weak: a LibTorch may be built without, and then they are null.
extern "C" {
[[gnu::weak]] int omp_get_max_threads();
[[gnu::weak]] void omp_set_num_threads(int threads);
}

namespace graft {

/// While it lives, what torch computes on this thread starts no others. For the little that stands between layers with kernels: a
/// thread of OpenMP that has worked for a moment then waits for some 10 ms without sleeping (GOMP_SPINCOUNT), on a core that the
/// kernels' threads want. Prefill of 512 tokens took a quarter longer so, while all of these operators together are 1 % of it.
class Alone {
 public:
  /// `wanted`: false leaves torch as it is, for layers that torch computes.
  explicit Alone(bool wanted) {
    if (!wanted || &omp_set_num_threads == nullptr) return;
    threads_ = omp_get_max_threads();
    omp_set_num_threads(1);  // this thread's own setting, a nanosecond
  }
  ~Alone() {
    if (threads_ > 0) omp_set_num_threads(threads_);
  }
  Alone(const Alone&) = delete;

 private:
  int threads_ = 0;  // that were allowed before; 0: unchanged
};

}  // namespace graft
