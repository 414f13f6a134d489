// Products of tiles (plugins/common/amx.h, avx512_bf16.h) where a test can ask for either, whichever a kernel
// would take here.
#pragma once

#include <cstdint>

namespace graft::test {

enum class Unit { amx, avx512_bf16 };

/// Whether this processor has it.
bool available(Unit unit);

/// c[rows][columns] = left[rows][depth] @ right[columns][depth]^T of bfloat16, as bits; added to what is in c
/// if `add`.
void multiply(Unit unit, int64_t rows, int64_t columns, int64_t depth, const uint16_t* left,
              const uint16_t* right, float* c, bool add);

}  // namespace graft::test
