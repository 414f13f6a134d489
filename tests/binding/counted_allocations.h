// What a thread allocates, counted: this program's malloc and its like are counted_allocations.cpp's.
#pragma once

#include <cstdint>

namespace graft::test {

struct Allocations {
  int64_t count = 0;  // of blocks asked for
  int64_t bytes = 0;  // asked for: how many they take depends on what malloc has lying about
  int64_t kept = 0;   // bytes that were not given back: may be negative where earlier ones were
  bool operator==(const Allocations&) const = default;
};

/// What `work` allocates on this thread.
template <class Work>
Allocations allocations_of(Work&& work);

/// This thread's, since it began.
Allocations allocations_so_far();

template <class Work>
Allocations allocations_of(Work&& work) {
  const Allocations before = allocations_so_far();
  work();
  const Allocations after = allocations_so_far();
  return {after.count - before.count, after.bytes - before.bytes, after.kept - before.kept};
}

}  // namespace graft::test
