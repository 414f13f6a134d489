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

/// The largest share that an element takes of what its own size allows.
double share_by_element(const at::Tensor& difference, const at::Tensor& reference, const Tolerance& tolerance) {
  return (difference / (reference.abs() * tolerance.rtol + tolerance.atol)).max().item<double>();
}

/// The share that all elements together take of what the output's root mean square allows.
double share_of_norm(const at::Tensor& difference, const at::Tensor& reference, const Tolerance& tolerance) {
  const double error = difference.square().mean().sqrt().item<double>();
  return error == 0 ? 0 : error / (reference.square().mean().sqrt().item<double>() * tolerance.rtol);
}

}  // namespace

std::optional<Tolerance> tolerance_of(const graft_contract& contract, const graft_dtype& dtype, const graft_entry& entry) {
  for (uint32_t i = 0; i < contract.tolerance_count; ++i) {
    const graft_tolerance& stated = contract.tolerances[i];
    if (!same_dtype(stated.dtype, dtype)) continue;
    if ((entry.flags & GRAFT_ENTRY_QUANTIZES) != 0) return Tolerance{.rtol = graft_quantized_tolerance, .of_norm = true};
    return Tolerance{stated.rtol, stated.atol};
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
    const auto share = tolerance.of_norm ? share_of_norm : share_by_element;
    found.largest = larger(difference.max().item<double>(), found.largest);
    found.share = larger(share(difference, reference[i], tolerance), found.share);
  }
  return found;
}

Deviation larger(const Deviation& a, const Deviation& b) {
  return {larger(a.largest, b.largest), larger(a.share, b.share)};
}

}  // namespace graft::reference
