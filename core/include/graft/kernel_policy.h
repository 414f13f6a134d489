// KernelPolicy: whether a bound kernel always runs, or only where it is faster than the layer's own forward.
#pragma once

#include <string_view>

namespace graft {

enum class KernelPolicy {
  /// A bound kernel runs every call that it serves.
  always,
  /// The first calls take turns between kernel and own forward and are timed, and the faster of both is kept. Every result is
  /// one of the two's: that of greedy generation may change by how they round, and between runs.
  ///
  /// What counts as one shape: inputs of the same ranks and dtypes, each dimension rounded down to a power of two, since a KV
  /// cache that grows would never show the same shape twice. Up to 8 of these are judged, each on its own: after an untimed
  /// call of each side by 5 of each, of which the shortest counts. Further ones run the kernel, unless the own forward was
  /// faster for all 8. Layers alike (module's type, kernel, attributes, shapes and dtypes of the weights) of one kernelize()
  /// share what was found. It holds until the next kernelize(), also where weights change and over train() and eval(). What
  /// was found stands in LayerReport::timings and reason; a layer whose own forward is kept for all shapes is a fallback.
  ///
  /// An own forward that runs other layers under trial counts only once these are settled.
  ///
  /// As with `always` run: training; calls that need gradients; calls that the kernel does not serve; a fusion's kernel (the
  /// own forward of its first layer is not the same work); a slot without own forward; Mode::TorchCompile. use_fallback =
  /// false does not forbid an own forward that is faster. On a device with streams a timed call waits for the current one
  /// before and after: let the first calls run before a graph of your own is captured.
  fastest,
};

/// "always", "fastest".
constexpr std::string_view name(KernelPolicy policy) {
  return policy == KernelPolicy::always ? "always" : "fastest";
}

}  // namespace graft
