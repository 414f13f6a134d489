#include "correctness.h"

#include <cmath>
#include <limits>

#include "graft/dtype.h"

namespace graft::reference {
namespace {

/// The larger one; NaN if one of them is.
double larger(double a, double b) {
  return std::isnan(a) || a > b ? a : b;
}

}  // namespace

std::optional<Tolerance> tolerance_of(const graft_contract& contract, const graft_dtype& dtype) {
  for (uint32_t i = 0; i < contract.tolerance_count; ++i) {
    const graft_tolerance& stated = contract.tolerances[i];
    if (same_dtype(stated.dtype, dtype)) return Tolerance{stated.rtol, stated.atol};
  }
  return std::nullopt;
}

Deviation deviation(const Outputs& results, const Outputs& reference, const Tolerance& tolerance) {
  Deviation found;
  for (size_t i = 0; i < reference.size(); ++i) {
    if (!reference[i].defined()) continue;
    if (!results[i].defined() || results[i].sizes() != reference[i].sizes()) {
      const double nan = std::numeric_limits<double>::quiet_NaN();
      return {nan, nan};
    }
    const at::Tensor difference = (results[i].to(at::kDouble) - reference[i]).abs();
    const at::Tensor allowed = reference[i].abs() * tolerance.rtol + tolerance.atol;
    found.largest = larger(difference.max().item<double>(), found.largest);
    found.share = larger((difference / allowed).max().item<double>(), found.share);
  }
  return found;
}

Deviation larger(const Deviation& a, const Deviation& b) {
  return {larger(a.largest, b.largest), larger(a.share, b.share)};
}

}  // namespace graft::reference
