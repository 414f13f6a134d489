// Products of many rows with a weight of 8 bits as whole numbers (plugins/common/whole_columns.h), by
// AVX512_VNNI, where a test can ask for them, whichever a kernel would take here.
#pragma once

#include <cstdint>

namespace graft::test {

/// Whether this processor has AVX512_VNNI.
bool has_vnni();

/// out[rows][columns] = x[rows][depth] @ weight[columns][depth]^T. False: x was not rounded to whole numbers,
/// and nothing written.
bool multiply_whole(int64_t rows, int64_t columns, int64_t depth, const float* x, const float* weight,
                    float* out);

}  // namespace graft::test
