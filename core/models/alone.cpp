#include "alone.h"

#include <ATen/Parallel.h>

// OpenMP's, which comes with LibTorch. Weak: a LibTorch may be built without, and then it is null.
extern "C" [[gnu::weak]] void omp_set_num_threads(int threads);

namespace graft {

Alone::Alone(bool wanted) {
  if (!wanted || &omp_set_num_threads == nullptr) return;
  threads_ = at::get_num_threads();  // which a thread's first call sets as well: not to come later, and undo the next line
  omp_set_num_threads(1);            // this thread's own setting, a nanosecond; at::set_num_threads is the process's
}

Alone::~Alone() {
  if (threads_ > 0) omp_set_num_threads(threads_);
}

}  // namespace graft
