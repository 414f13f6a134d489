// What all entries of the first-party CPU kernels have in common.
#pragma once

#include <graft/plugin.hpp>

namespace graft {

// float32, bfloat16 and float64, same bits for any number of threads, and the CPU features that this variant
// was compiled for.
inline plugin::Entry for_this_cpu(plugin::Entry entry) {
#if defined(__AVX512F__)
  entry.cpu_features("avx2 fma f16c bmi2 avx512f avx512bw avx512dq avx512vl");
#elif defined(__AVX2__)
  entry.cpu_features("avx2 fma f16c bmi2");
#endif
  return entry.dtypes({plugin::float32, plugin::bfloat16, plugin::float64})
      .flags(GRAFT_ENTRY_DETERMINISTIC | GRAFT_ENTRY_COMPILE_SAFE);
}

// Of an entry that keeps its weights in 8 bits, see int8_weight.h.
inline plugin::Entry in_8_bits(plugin::Entry entry) {
  return for_this_cpu(std::move(entry))
      .dtypes({plugin::float32, plugin::bfloat16})
      .flags(GRAFT_ENTRY_PREPACKS | GRAFT_ENTRY_QUANTIZES);
}

}  // namespace graft
