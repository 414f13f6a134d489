// BindReport: for every layer what runs, from where, or why not.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

enum class LayerState {
  own,       // no mapping, or kernels are off: the layer's own forward
  bound,     // a kernel runs
  fallback,  // the layer's own forward: a kernel was asked for and could not be had, or is slower (KernelPolicy::fastest); see reason
  disabled,  // mapped to ""
};
/// "own", "bound", "fallback", "disabled".
std::string_view name(LayerState state);

/// What became of a layer's calls since a kernel was last bound onto it.
struct LayerCounters {
  /// Served by the kernel, in either mode. Where several threads run one layer at once, some may go uncounted: an exact
  /// count would cost each call more than everything else that is counted.
  uint64_t calls = 0;
  uint64_t unsupported = 0;  // left to the layer's own forward by the kernel's answer, for want of a backward or of determinism
  uint64_t errors = 0;       // in which the kernel failed
  /// Time is taken only while somebody asks for it: an EventSubscription (events.h), or torch's profiler.
  uint64_t timed = 0;  // of `calls`
  double seconds = 0;  // wall time of those, as the caller saw it
};

/// What KernelPolicy::fastest found for inputs of one size.
struct LayerTiming {
  std::string shapes = {};  // of the inputs seen first, each once: "[1, 9, 1, 64], [1, 3, 40, 64]"
  double kernel_seconds = 0, own_seconds = 0;  // wall time, the shortest of several calls
  bool keeps_kernel = true;  // false: the own forward runs
};

struct LayerReport {
  std::string layer = {};  // "RMSNorm"
  std::string module = {}; // "model.layers.0.input_layernorm"
  LayerState state = LayerState::own;
  std::string reference = {}; // as mapped: "graft-kernels/norm:RMSNorm"
  std::string repo = {};   // "graft-kernels/norm", or the absolute path of a local kernel
  std::string commit = {}; // 40 hex digits
  std::string variant = {}; // "graft1-cpu-x86_64-linux-x86_64_v3"
  std::string entry = {};  // "RMSNorm"
  std::string digest = {}; // "sha256:…" of the library that was loaded
  std::string trust = {};  // "trusted", "local", "allowed" …
  std::string publisher = {}; // "graft-kernels"
  std::string license = {}; // SPDX, as the publisher's metadata.json has it: "Apache-2.0"; empty for a local kernel
  std::string signer = {}; // "key graft-kernels (sha256:…)", or a Sigstore identity with its log index; empty: unsigned
  std::string rule = {};   // of the policy, that let it in: "signers", "trusted_publishers", "allow_all_kernels" …
  std::string covered_by = {}; // a module whose own kernel does this layer's work as well
  std::string reason = {}; // why not bound, or what to know about it
  LayerCounters counters = {};
  std::vector<LayerTiming> timings = {};  // what is settled, in the order in which it was seen
};

/// Of BindReport::html().
struct ReportPage {
  std::string title = "Kernels";
  int refresh_seconds = 0;  // a browser asks for the page anew that often; 0: never. For hosts that serve it
};

struct BindReport {
  std::vector<LayerReport> layers;
  /// Mapped names that the model does not have, with near names.
  std::vector<std::string> warnings;
  double seconds = 0;  // wall time of resolve, fetch, check, load and bind

  int count(LayerState state) const;
  bool any_fallback() const { return count(LayerState::fallback) > 0; }
  /// What strict asks for: no mapped layer fell back, and every mapped name is one of the model's.
  bool as_mapped() const { return !any_fallback() && warnings.empty(); }
  /// {layers: [{layer, module, state, repo, commit, variant, entry, digest, trust, publisher, license, signer, rule, reason,
  /// calls, unsupported, errors, seconds, timings: [{shapes, kernel_seconds, own_seconds, keeps: "kernel"|"own"}]}], warnings,
  /// seconds}; a layer's seconds only where calls were timed, timings only where KernelPolicy::fastest has settled.
  std::string json() const;
  /// A table with a row for each kind of layer, equal rows of different modules folded into one ("× 30").
  std::string table() const;
  /// One page that asks for nothing from elsewhere: the modules as a tree, each layer with its state and where its kernel is
  /// from, with the counters as they are now, and a filter. Equal siblings (the blocks of a model) are folded. Whatever
  /// names and messages say, they are shown as text.
  std::string html(const ReportPage& page = {}) const;
};

std::ostream& operator<<(std::ostream& out, const BindReport& report);

}  // namespace graft
