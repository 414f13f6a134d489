// How far results are from a reference, and whether that is as near as a contract asks.
#pragma once

#include <optional>

#include <graft/abi/entry.h>

#include "graft/contract.h"
#include "layer.h"

namespace graft::reference {

struct Tolerance {
  double rtol = 0, atol = 0;
  bool of_norm = false;  // of an output's root mean square, not of each of its elements
};

/// What the entry's results are held against for inputs of this dtype: the contract's tolerance, or that of entries which
/// quantise; nothing if the contract states none.
std::optional<Tolerance> tolerance_of(const graft_contract& contract, const graft_dtype& dtype, const graft_entry& entry);

struct Deviation {
  double largest = 0;  // |result - reference|; NaN if a result is not a number
  double share = 0;    // the largest share of its tolerance that an element (or output) takes: up to 1 it is within
  bool within() const { return share <= 1; }  // false for NaN
};

/// Over all elements of all outputs. `reference` is in float64.
Deviation deviation(const Outputs& results, const Outputs& reference, const Tolerance& tolerance);

/// The larger of each.
Deviation larger(const Deviation& a, const Deviation& b);

}  // namespace graft::reference
