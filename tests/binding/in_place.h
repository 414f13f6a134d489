// The tests' own contract, of which the fixture training_layers has a kernel: x *= 2, in place.
#pragma once

#include "graft/contract.h"

namespace graft::test {

inline const graft_argument kInPlaceArguments[] = {{"x", GRAFT_INOUT, GRAFT_ARG_KEPT, "T", "..."}};
inline const graft_contract kDoubleInPlace = {
    sizeof(graft_contract), 1, "DoubleInPlace/1", kInPlaceArguments, 1, 0, nullptr, nullptr, 0};

}  // namespace graft::test
