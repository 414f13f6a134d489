// Which of a repo's variants fits this host, and why the others don't.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graft/host_platform.h"

namespace graft {

/// What became of one variant in the search.
struct VariantTrace {
  std::string name;  // "graft1-cpu-x86_64-linux"
  bool accepted = false;
  std::string reason;  // "needs x86_64_v4; this CPU is x86_64_v3"; of accepted ones: "fits"
};

struct VariantChoice {
  std::string chosen;               // empty: none fits
  std::vector<VariantTrace> trace;  // in order of preference: accepted ones first, best first

  /// The reasons in one sentence, for an error message.
  std::string why_none() const;
};

/// Picks among the folder names below build/. Graft's own family:
///
///   graft1-cpu-x86_64-linux              baseline of that CPU
///   graft1-cpu-x86_64-linux-x86_64_v3    a CPU level; the highest that this CPU reaches comes first
///   graft1-cu130-x86_64-linux            CUDA 13.0; the newest that the driver serves comes first
///
/// "graft1" is ABI major 1. `device` is "cpu", "cuda", "cuda:1" …; Pure, and the order of `listing` does not
/// matter.
VariantChoice resolve_variant(const std::vector<std::string>& listing, const HostPlatform& host,
                              std::string_view device);

/// "cuda" of "cuda:1", "metal" of "mps"; throws Error(invalid_argument) for a name that is no device.
std::string device_kind(std::string_view device);

/// GRAFT_DEVICE_… of a device kind, or -1 for one that the ABI has no number for ("npu", "tpu", "neuron").
int device_type(std::string_view kind);

}  // namespace graft
